"""Networks of torchvision and transformers, made ready for `stages.models.torch_backend`.

A model is named ``torchvision:NAME`` or ``transformers:FOLDER-OR-HUB-NAME``. Every network comes as a `TorchModel`: a
module that takes [N, 3, H, W] and gives tensors of known meaning, with what it wants as its picture and its classes.
"""
