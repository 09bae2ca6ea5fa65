"""everyframe-nano: the project's own one-pass panoptic network (boxes, instance masks and a semantic map in one pass).

Nothing here imports torch; the modules do: `network` (the layers), `assign` (which anchor learns which object),
`losses`, `dataset`, `augment` and `targets` (frames of the synthetic world, as training takes them), `train`,
`evaluate`, `export`. From a shell: `python -m stages.models.nano --help`.
"""
