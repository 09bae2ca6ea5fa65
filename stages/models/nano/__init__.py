"""everyframe-nano: the project's own one-pass panoptic network (boxes, instance masks and a semantic map in one pass).

Nothing here imports torch; `network` (the layers) does. `everyframe train` trains it: that lies in
`stages.models.training`, on pictures of `stages.models.labelled`, and how it becomes a file that others run in
`stages.models.exporting`.
"""
