"""everyframe-nano: the project's own one-pass panoptic network (boxes, instance masks and a semantic map in one pass).

Nothing here imports torch; the modules do: `network` (the layers), `evaluate`, `export`. How it is trained lies in
`stages.models.training`, on pictures of `stages.models.labelled`. From a shell: `python -m stages.models.nano --help`.
"""
