"""ResNets with the paper's block layout, at any width, that take images in [0, 1]."""

import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advtransfer.artefacts import load_tensors, save_tensors
from advtransfer.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What to do with a file that is no source artefact.
REMEDY = (
    "Declare the file as a source of kind 'file' in config.yaml and use the artefact that the workflow makes of it."
)


class Bottleneck(nn.Module):
    """A residual block 1x1, 3x3, 1x1 whose 3x3 convolution carries the stride (He et al. 2016, as in torchvision)."""

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        channels_out = channels * self.expansion
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations [n, channels_in, h, w] to [n, 4 channels, h / stride, w / stride]."""
        return self.relu(self.sum_of_branches(x))

    def sum_of_branches(self, x: torch.Tensor) -> torch.Tensor:
        """What the block's last ReLU gets: the convolutions' branch plus the shortcut, of the shape that `forward` returns."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x)) + shortcut


class ResNet(nn.Module):
    """A bottleneck ResNet with torchvision's parameter names; at width 1 it is torchvision's `resnet50`.

    Its parts are `stem`, `blocks`, `pool` and the module `fc`, for whoever passes images through some of them only.

    classes: the number of outputs. layers: bottleneck blocks in each of the four stages; the paper's ResNet-50 has
    (3, 4, 6, 3). width: multiplies every channel count (1 gives 64 channels after the stem and 2,048 features).
    stem: "imagenet" is a 7x7 convolution of stride 2 and a max-pooling of stride 2, "cifar" a 3x3 convolution only.
    """

    def __init__(
        self, classes: int, layers: tuple[int, ...] = (3, 4, 6, 3), width: float = 1.0, stem: str = "imagenet"
    ):
        super().__init__()
        base = round(64 * width)
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(3, base, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        elif stem == "cifar":
            self.conv1 = nn.Conv2d(3, base, 3, stride=1, padding=1, bias=False)
            self.maxpool = nn.Identity()
        else:
            raise InputError(f"stem: found {stem!r}. Choose 'imagenet' or 'cifar'.")
        self.bn1 = nn.BatchNorm2d(base)
        self.relu = nn.ReLU(inplace=True)
        channels_in = base
        for stage, depth in enumerate(layers):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Bottleneck(channels_in, base * 2**stage, stride))
                channels_in = base * 2**stage * Bottleneck.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels_in, classes)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights anew: convolutions He-normal (fan out), the head uniform in +-1/sqrt(features), biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        bound = self.fc.in_features**-0.5
        nn.init.uniform_(self.fc.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.fc.bias)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [n, 3, h, w] to what the first block gets."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def blocks(self) -> list[Bottleneck]:
        """The bottleneck blocks in the order in which an image passes them; the paper's networks have 16."""
        return [block for stage in range(self.stages) for block in getattr(self, f"layer{stage + 1}")]

    def split_blocks(self, trained: int) -> tuple[list[Bottleneck], list[Bottleneck]]:
        """`blocks()` in two parts: those that stay frozen and the last `trained` ones. Raises InputError if there are fewer."""
        blocks = self.blocks()
        if not 0 <= trained <= len(blocks):
            raise InputError(f"blocks: found {trained}; the network has {len(blocks)}. Choose 0 to {len(blocks)}.")
        return blocks[: len(blocks) - trained], blocks[len(blocks) - trained :]

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """What the last block returns, [n, p, h, w], to penultimate features [n, p]: means over pixels."""
        return self.avgpool(x).flatten(1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [n, 3, h, w] to penultimate features [n, p], after pooling."""
        x = self.stem(x)
        for block in self.blocks():
            x = block(x)
        return self.pool(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [n, 3, h, w] to logits [n, classes]."""
        return self.fc(self.features(x))


class ImageClassifier(nn.Module):
    """A network and its normalisation: images in [0, 1] to logits, so that epsilon is in pixel units everywhere.

    The input is clamped to [0, 1] first (protocol of the paper's authors).
    """

    def __init__(self, network: ResNet, mean=IMAGENET_MEAN, std=IMAGENET_STD):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images [n, 3, h, w] in [0, 1] to the network's own scale."""
        return (images.clamp(0, 1) - self.mean) / self.std

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images [n, 3, h, w] in [0, 1] to logits [n, classes]."""
        return self.network(self.normalise(images))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Images [n, 3, h, w] in [0, 1] to penultimate features [n, p]."""
        return self.network.features(self.normalise(images))


def unfreeze_last(network: ResNet, blocks: int) -> list[nn.Parameter]:
    """Leave only the head and the last `blocks` bottleneck blocks trainable; return their parameters in order.

    Batch-norm and bias parameters of these blocks are trainable too. Raises InputError if there are fewer blocks.
    """
    _, trained = network.split_blocks(blocks)
    network.requires_grad_(False)
    for module in [*trained, network.fc]:
        module.requires_grad_(True)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def check_metadata(
    metadata: Mapping[str, Any], path: str | Path, kinds: Mapping[str, tuple[Callable[[Any], bool], str]]
) -> dict[str, Any]:
    """The metadata itself. Raises InputError for the first value that is not of its kind; what is absent is not missed."""
    for key, (is_right, kind) in kinds.items():
        if key in metadata and not is_right(metadata[key]):
            raise InputError(
                f"{path}: its metadata says {key}: {reprlib.repr(metadata[key])[:80]}, which must be {kind}. "
                "Get the file again, or save it with right metadata."
            )
    return dict(metadata)


def is_number(value: Any) -> bool:
    """Whether a metadata value is a finite number of sane size."""
    # Neither NaN nor infinite, nor an integer that is no float.
    return type(value) in (int, float) and abs(value) < 1e30


def is_size(value: Any) -> bool:
    """Whether a metadata value is a positive whole number of sane size."""
    return type(value) is int and 0 < value <= 10**6


def _is_list_of(values: Any, is_right: Callable[[Any], bool], lengths: range) -> bool:
    return isinstance(values, list) and len(values) in lengths and all(map(is_right, values))


# What a source artefact's metadata says of its network: a test of each value, and its words.
ARCHITECTURE = {
    "layers": (
        lambda value: _is_list_of(value, is_size, range(1, 9)) and sum(value) <= 1000,
        "a list of the numbers of blocks in each stage",
    ),
    "width": (lambda value: is_number(value) and 0 < value <= 1000 and round(64 * value) > 0, "a positive number"),
    "stem": (lambda value: value in ("imagenet", "cifar"), "imagenet or cifar"),
    "classes": (is_size, "a positive whole number"),
    "resolution": (is_size, "a positive whole number"),
    "mean": (lambda value: _is_list_of(value, is_number, range(3, 4)), "a list of 3 numbers"),
    "std": (
        lambda value: _is_list_of(value, lambda each: is_number(each) and each > 0, range(3, 4)),
        "a list of 3 positive numbers",
    ),
}


def source_resolution(path: str | Path) -> int:
    """The side in pixels of the images that a source artefact's network was trained on.

    Raises InputError where the file does not say, or says no whole number.
    """
    metadata = load_tensors(path, [])[1]
    if "resolution" not in metadata:
        raise InputError(f"{path}: no source artefact, its metadata lacks resolution. {REMEDY}")
    return check_metadata(metadata, path, ARCHITECTURE)["resolution"]


def build(metadata: Mapping[str, Any]) -> ImageClassifier:
    """An untrained network of the architecture that a source artefact's metadata describes."""
    network = ResNet(int(metadata["classes"]), tuple(metadata["layers"]), float(metadata["width"]), metadata["stem"])
    return ImageClassifier(network, metadata["mean"], metadata["std"])


def load_source(path: str | Path) -> ImageClassifier:
    """The network of a source artefact, in float32 and eval mode: a module that takes images [n, 3, h, w] in [0, 1].

    Raises InputError where the file is no source artefact or its tensors do not fit its stated architecture.
    """
    tensors, metadata = load_tensors(path)
    missing = {"classes", "layers", "width", "stem", "mean", "std"} - set(metadata)
    if missing:
        raise InputError(f"{path}: no source artefact, its metadata lacks {', '.join(sorted(missing))}. {REMEDY}")
    model = build(check_metadata(metadata, path, ARCHITECTURE))
    load_network(model.network, tensors, path)
    return model.eval()


def save_model(path: str | Path, model: ImageClassifier, source: str | Path, identity: Mapping[str, Any]) -> None:
    """Write a fine-tuned network as an artefact that `load_source` reads.

    source: the artefact it was fine-tuned from, which knows its architecture. identity: JSON-compatible facts, such as class_names.
    """
    metadata = load_tensors(source, [])[1]
    architecture = {key: metadata[key] for key in ("layers", "width", "stem", "resolution", "mean", "std")}
    tensors = {name: tensor.detach().cpu() for name, tensor in model.network.state_dict().items()}
    save_tensors(path, tensors, {**architecture, "classes": model.network.fc.out_features, **identity})


def load_network(network: ResNet, tensors: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Load a state dict with torchvision's names, checked: every tensor there, real numbers, of its shape, finite, and no others.

    Raises InputError that names the first tensor that does not fit.
    """
    expected = network.state_dict()
    # Old checkpoints lack the counters of batches, which inference does not use.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    for name, own in expected.items():
        if name in counters:
            if name in tensors and tensors[name].shape != ():
                raise InputError(
                    f"{path}: tensor '{name}' has shape {list(tensors[name].shape)}, and is one number elsewhere. "
                    "Remove it from the state dict: it counts batches, and is not needed."
                )
            continue
        if name not in tensors:
            raise InputError(f"{path}: tensor '{name}' is missing. Check layers, width and stem of this source.")
        found = tensors[name]
        if found.dtype not in WEIGHT_TYPES:
            raise InputError(
                f"{path}: tensor '{name}' holds values of type {str(found.dtype).removeprefix('torch.')}; weights are float16, bfloat16, float32 or float64. "
                "Convert the network to float32 and save its state dict again."
            )
        if found.shape != own.shape:
            raise InputError(
                f"{path}: tensor '{name}' has shape {list(found.shape)}, the declared network needs {list(own.shape)}. "
                "Check classes, layers, width and stem of this source."
            )
        if not torch.isfinite(found).all():
            raise InputError(f"{path}: tensor '{name}' holds NaN or infinite values. Use an intact checkpoint.")
    extra = sorted(set(tensors) - set(expected))
    if extra:
        raise InputError(
            f"{path}: tensor '{extra[0]}' (and {len(extra) - 1} more) is unknown to the declared network. "
            "Check layers, width and stem of this source."
        )
    network.load_state_dict({**{name: expected[name] for name in counters}, **tensors})
