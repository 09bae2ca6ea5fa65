"""A trained network as files that others run: ONNX, OpenVINO's IR, INT8, `torch.export`; and an ONNX file trained on.

Each file is held against the torch network on real frames before it gets its name. What each format is for stands in
README.md beside this file. From a shell: `everyframe export --help`.
"""
