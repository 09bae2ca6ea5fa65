"""everyframe-nano: the project's own one-pass panoptic network (boxes, instance masks and a semantic map in one pass).

Nothing here imports torch; the modules do: `network` (the layers), `evaluate`. How it is trained lies in
`stages.models.training`, on pictures of `stages.models.labelled`, and how it becomes a file that others run in
`stages.models.exporting`. From a shell: `python -m stages.models.nano --help`.
"""
