"""Convolutions that add their bias, a residual and ReLU in one kernel on a GPU, where torch takes a pass each.

On an H100 those passes over memory were half of RT-DETR's time. The kernels are cuDNN's and cuBLAS's, by way of torch.
What one gives for random numbers is compared with what it stands for before it is used (once for each type of
numbers), and where it fails or differs the plain operators stay. On a CPU, and under ``torch.compile``, which fuses by
itself, they always do.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.models.torch_runner import is_short_of_memory
from stages.models.zoo.folding import shared_modules

Work = Callable[[Tensor, Tensor | None], Tensor]
_CLOSE = {torch.float32: 2e-3, torch.float16: 1e-2, torch.bfloat16: 4e-2}  # of the largest; TF32 may be allowed


class Fused(nn.Conv2d):
    """A convolution with a bias, whose forward may be a kernel that does more at once."""

    kinds: tuple[torch.dtype, ...] = tuple(_CLOSE)

    def __init__(self, convolution: nn.Conv2d) -> None:
        """It takes over the weights."""
        given = convolution
        super().__init__(
            given.in_channels,
            given.out_channels,
            kernel_size=_pair(given.kernel_size),
            stride=_pair(given.stride),
            padding=_pair(given.padding),
            dilation=_pair(given.dilation),
            groups=given.groups,
            device="meta",
        )
        assert given.bias is not None
        self.weight, self.bias = given.weight, given.bias
        self._trusted: set[torch.dtype] = set()
        self._distrusted: set[torch.dtype] = set()

    def _chosen(self, fused: Work, plain: Work, pictures: Tensor, beside: Tensor | None = None) -> Tensor:
        if not pictures.is_cuda or torch.compiler.is_compiling() or not pictures.numel():
            return plain(pictures, beside)
        kind = pictures.dtype
        if kind not in self._trusted and kind not in self._distrusted and kind in self.kinds:
            if torch.cuda.is_current_stream_capturing():  # nothing can be compared now
                return plain(pictures, beside)
            (self._trusted if self._agree(fused, plain, pictures, beside) else self._distrusted).add(kind)
        return fused(pictures, beside) if kind in self._trusted else plain(pictures, beside)

    @staticmethod
    def _agree(fused: Work, plain: Work, pictures: Tensor, beside: Tensor | None) -> bool:
        """Whether both give the same for random numbers of these shapes, whatever was in memory before."""
        given = torch.randn_like(pictures), None if beside is None else torch.randn_like(beside)
        try:
            wanted = plain(*given)
            torch.full_like(wanted, float("nan"))  # what is freed here, the next result may lie in
            found = fused(*given)
        except RuntimeError as exc:
            if is_short_of_memory(exc):
                raise
            return False
        largest, difference = float(wanted.abs().max()), float((found - wanted).abs().max())
        return largest > 0 and difference <= _CLOSE[pictures.dtype] * largest  # false for what is not a number


class ConvolutionRelu(Fused):
    """ReLU of a convolution, and of what is given beside it."""

    def forward(self, pictures: Tensor, beside: Tensor | None = None) -> Tensor:
        """Of [N, C, H, W]; `beside` has the shape of what comes out."""
        settings = self.stride, _pair(self.padding), self.dilation, self.groups

        def plain(pictures: Tensor, beside: Tensor | None) -> Tensor:
            found = self._conv_forward(pictures, self.weight, self.bias)
            return F.relu(found if beside is None else found + beside)

        def fused(pictures: Tensor, beside: Tensor | None) -> Tensor:
            if beside is None:
                return torch.cudnn_convolution_relu(pictures, self.weight, self.bias, *settings)
            return torch.cudnn_convolution_add_relu(pictures, self.weight, beside, 1.0, self.bias, *settings)

        return self._chosen(fused, plain, pictures, beside)


class Pointwise(Fused):
    """A convolution of 1x1: a matrix product, which adds the bias as it goes.

    Not of float32, which convolutions may reckon in TF32 and products may not.
    """

    kinds = (torch.float16, torch.bfloat16)

    def forward(self, pictures: Tensor) -> Tensor:
        """Of [N, C, H, W]."""

        def plain(pictures: Tensor, _: Tensor | None) -> Tensor:
            found: Tensor = self._conv_forward(pictures, self.weight, self.bias)
            return found

        if not pictures.is_contiguous(memory_format=torch.channels_last):
            return plain(pictures, None)

        def fused(pictures: Tensor, _: Tensor | None) -> Tensor:
            found: Tensor = F.linear(pictures.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
            return found.permute(0, 3, 1, 2)

        return self._chosen(fused, plain, pictures)


class Residual(nn.Module):
    """ReLU of a block's convolutions and what goes around them."""

    def __init__(self, before: nn.Module, last: nn.Conv2d, around: nn.Module) -> None:
        super().__init__()
        self.before, self.last, self.around = before, ConvolutionRelu(last), around

    def forward(self, pictures: Tensor) -> Tensor:
        """Of [N, C, H, W]."""
        found: Tensor = self.last(self.before(pictures), self.around(pictures))
        return found


def fuse_convolutions(network: nn.Module) -> int:
    """Use such kernels where they fit, in a network whose normalisations were folded; how many. It is changed."""
    fused, shared = 0, shared_modules(network)
    for holder in list(network.modules()):
        for name, child in list(holder.named_children()):
            made = None if shared & set(child.modules()) else _merged(child) or _residual(child)
            if made is not None:
                setattr(holder, name, made)
                fused += 1
    for holder in list(network.modules()):
        fused += _with_relu(holder, shared)
    for holder in list(network.modules()):
        for name, child in list(holder.named_children()):
            if type(child) is nn.Conv2d and _is_pointwise(child) and child not in shared:
                setattr(holder, name, Pointwise(child))
                fused += 1
    return fused


def _merged(block: nn.Module) -> nn.Module | None:
    """RepVGG's convolutions of 3x3 and 1x1 side by side, as one; None for what is no such block."""
    if not type(block).__name__.endswith("RepVggBlock"):
        return None
    wide, narrow = _bare(block.conv1), _bare(block.conv2)
    if wide is None or narrow is None or (wide.kernel_size, narrow.kernel_size) != ((3, 3), (1, 1)):
        return None
    if wide.padding != (1, 1) or narrow.padding != (0, 0) or wide.stride != narrow.stride:
        return None
    assert wide.bias is not None
    assert narrow.bias is not None
    with torch.no_grad():
        wide.weight += F.pad(narrow.weight, (1, 1, 1, 1))
        wide.bias += narrow.bias
    activation = block.activation
    assert isinstance(activation, nn.Module)
    return nn.Sequential(wide, activation)


def _residual(block: nn.Module) -> nn.Module | None:
    """The block of a residual network; None for what is no such block."""
    kind, children = type(block).__name__, dict(block.named_children())
    if kind in ("RTDetrResNetBottleNeckLayer", "RTDetrResNetBasicLayer"):
        layers = children["layer"]
        assert isinstance(layers, nn.Sequential)
        last = _bare(layers[-1])
        if last is None or not isinstance(children["activation"], nn.ReLU):
            return None
        return Residual(layers[:-1], last, children["shortcut"])
    if kind in ("Bottleneck", "BasicBlock") and isinstance(children.get("relu"), nn.ReLU):
        count = 3 if kind == "Bottleneck" else 2
        convolutions = [children[f"conv{i}"] for i in range(1, count + 1)]
        norms = [children[f"bn{i}"] for i in range(1, count + 1)]
        if not all(_has_bias(one) for one in convolutions) or not all(type(one) is nn.Identity for one in norms):
            return None
        *before, last = (one for one in convolutions if isinstance(one, nn.Conv2d))
        around = children.get("downsample") or nn.Identity()
        return Residual(nn.Sequential(*(ConvolutionRelu(one) for one in before)), last, around)
    return None


def _with_relu(holder: nn.Module, shared: set[nn.Module]) -> int:
    """A convolution and ReLU with nothing between."""
    children = {name: child for name, child in holder._modules.items() if child is not None}
    if type(holder) is nn.Sequential:
        names = [name for name, child in children.items() if type(child) is not nn.Identity]
        pairs = list(pairwise(names))
    else:
        names = [name for name in ("convolution", "conv") if name in children]
        norm = children.get("normalization", children.get("norm"))
        pairs = [(name, "activation") for name in names if "activation" in children and type(norm) is nn.Identity]
    fused = 0
    for first, second in pairs:
        convolution = children[first]
        if _has_bias(convolution) and type(children[second]) is nn.ReLU and convolution not in shared:
            assert isinstance(convolution, nn.Conv2d)
            setattr(holder, first, ConvolutionRelu(convolution))
            setattr(holder, second, nn.Identity())
            fused += 1
    return fused


def _bare(layer: object) -> nn.Conv2d | None:
    """The convolution of a layer in which nothing but it is left; None where there is more."""
    assert isinstance(layer, nn.Module)
    children = list(layer.children())
    found = [child for child in children if type(child) is nn.Conv2d and child.bias is not None]
    others = [child for child in children if type(child) not in (nn.Conv2d, nn.Identity)]
    return found[0] if len(found) == 1 and not others else None


def _has_bias(module: nn.Module) -> bool:
    """Whether it is a plain convolution with a bias and a number of zeros around the picture."""
    return (
        type(module) is nn.Conv2d
        and module.bias is not None
        and isinstance(module.padding, tuple)
        and module.padding_mode == "zeros"
    )


def _is_pointwise(module: nn.Conv2d) -> bool:
    is_plain = module.kernel_size == (1, 1) and module.stride == (1, 1) and module.padding == (0, 0)
    return _has_bias(module) and is_plain and module.groups == 1


def _pair(values: tuple[int, ...] | str) -> tuple[int, int]:
    if isinstance(values, str):
        raise ValueError(f"padding by the name of {values!r} is not for these kernels; numbers are needed")
    first, second = values
    return first, second
