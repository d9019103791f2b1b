"""What the trained part of a network gets of images: frozen layers' activations from a cache, or computed each time anew."""

import logging
import math
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from advtransfer.augmentation import augment, to_unit
from advtransfer.errors import InputError
from advtransfer.memory import Batches, allocate
from advtransfer.models import Bottleneck, ImageClassifier, ResNet

logger = logging.getLogger(__name__)

# Bytes that the activation cache of one job takes in the memory of a CPU; the rest lies in a mapped file. (The 10,000 test
# images of CIFAR-10 take 8 GB at 3 blocks of the paper's network.)
CACHE_BYTES = 4 * 2**30
# Share of a GPU's free memory that the activation cache may take.
CACHE_SHARE = 0.5
# Pixels that pass the network at once outside of training, and images at most: enough to fill the device. They bound memory
# and change no result beyond rounding.
BATCH_PIXELS = {"cpu": 32 * 224**2, "cuda": 2048 * 224**2}
BATCH_IMAGES = {"cpu": 500, "cuda": 8192}
# Images that are augmented with one draw of the generator when fixed views are made: part of what a seed determines.
VIEW_BATCH = 500
# On the CPU, a 3x3 convolution on maps of up to this many pixels is a matrix product: while it is trained, and elsewhere.
UNFOLDED_PIXELS, UNFOLDED_PIXELS_EVALUATED = 64, 4


def taps(length: int, stride: int) -> range:
    """Which rows (or columns) of a 3x3 kernel with padding 1 see more than padding on a map of so many rows (or columns)."""
    places = range(-1, length - 1, stride)  # where the kernel begins
    seen = [tap for tap in range(3) if any(0 <= place + tap < length for place in places)]
    return range(seen[0], seen[-1] + 1)


class Unfold3x3(torch.autograd.Function):
    """What a 3x3 convolution with padding 1 sees at each output pixel: x [n, h, w, c] to [n, h', w', taps c].

    Kernel places that see nothing but padding (`taps`) are left out: on a map of one pixel all but the middle.
    As padding, slices and a concatenation, but without their backward passes, which fill an array with zeros for each place.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor, stride: int) -> torch.Tensor:
        """Rows of the kernel vary slowest, then its columns, then channels."""
        rows, columns = x.shape[1:3]
        ctx.shape, ctx.stride = x.shape, stride
        ctx.places = [(i, j) for i in taps(rows, stride) for j in taps(columns, stride)]
        padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
        return torch.cat([padded[:, i : i + rows : stride, j : j + columns : stride] for i, j in ctx.places], -1)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Each pixel gets the sum over the places where it was seen."""
        n, rows, columns, channels = ctx.shape
        stride = ctx.stride
        padded = gradient.new_zeros(n, rows + 2, columns + 2, channels)
        for (i, j), part in zip(ctx.places, gradient.split(channels, -1), strict=True):
            padded[:, i : i + rows : stride, j : j + columns : stride] += part
        return padded[:, 1:-1, 1:-1], None


def convolve(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """`conv(x)`, x [n, c, h, w]; on the CPU as a matrix product where training it is faster that way (benchmarks/engine.py).

    That is so for 1x1 convolutions, and for 3x3 ones on small maps.
    """
    stride, weight = conv.stride[0], conv.weight
    rows, columns = x.shape[-2:]
    pixels = -(-rows // stride) * -(-columns // stride)
    if x.device.type != "cpu" or (conv.kernel_size != (1, 1) and pixels > UNFOLDED_PIXELS):
        return conv(x)
    x = x.permute(0, 2, 3, 1)
    if conv.kernel_size == (1, 1):
        x, weight = x[:, ::stride, ::stride], weight[:, :, 0, 0]
    elif rows == columns == 1:
        weight = weight[:, :, 1, 1]  # the rest sees padding
    else:
        x = Unfold3x3.apply(x, stride)
        down, across = taps(rows, stride), taps(columns, stride)
        weight = weight[:, :, down.start : down.stop, across.start : across.stop].permute(0, 2, 3, 1).flatten(1)
    return functional.linear(x, weight).permute(0, 3, 1, 2)


def normalise(layer: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """`layer(x)`, x [n, c, h, w]; maps of one pixel go as a matrix [n, c], which PyTorch trains twice as fast on the CPU."""
    if x.device.type != "cpu" or x.shape[-2:] != (1, 1) or not layer.training or layer.momentum is None:
        return layer(x)
    layer.num_batches_tracked.add_(1)
    out = functional.batch_norm(
        x.flatten(1), layer.running_mean, layer.running_var, layer.weight, layer.bias, True, layer.momentum, layer.eps
    )
    return out[:, :, None, None]


def pass_block(block: Bottleneck, x: torch.Tensor) -> torch.Tensor:
    """`block(x)` with fewer copies: what autograd does not need is overwritten."""
    small = x.shape[-2] * x.shape[-1] <= UNFOLDED_PIXELS_EVALUATED
    apply = convolve if torch.is_grad_enabled() or small else nn.Module.__call__
    residual = x if block.downsample is None else normalise(block.downsample[1], apply(block.downsample[0], x))
    x = functional.relu_(normalise(block.bn1, apply(block.conv1, x)))
    x = functional.relu_(normalise(block.bn2, apply(block.conv2, x)))
    x = normalise(block.bn3, apply(block.conv3, x))
    return functional.relu_(x.add_(residual))


@torch.no_grad()
def pass_frozen(model: ImageClassifier, blocks: int, images: torch.Tensor) -> torch.Tensor:
    """Images [n, 3, h, w] in [0, 1] to what the first of the last `blocks` blocks gets, [n, c, h', w'] in channels_last.

    With 0 blocks it is what the head gets, the pooled features [n, p].
    """
    network = model.network
    x = model.normalise(images).contiguous(memory_format=torch.channels_last)
    x = network.stem(x)
    for block in network.split_blocks(blocks)[0]:
        x = pass_block(block, x)
    return x if blocks else network.pool(x)


def pass_trained(model: ImageClassifier, blocks: int, x: torch.Tensor) -> torch.Tensor:
    """What `pass_frozen` returns to logits [n, classes]."""
    network = model.network
    for block in network.split_blocks(blocks)[1]:
        x = pass_block(block, x)
    return network.fc(network.pool(x) if blocks else x)


def activation_shape(network: ResNet, blocks: int, resolution: int) -> tuple[int, ...]:
    """The shape of what an activation cache holds of one image: (h, w, c), or (p,) with 0 blocks."""
    if blocks == 0:
        return (network.fc.in_features,)
    frozen, _ = network.split_blocks(blocks)
    strides = [network.conv1.stride[0], 1 if isinstance(network.maxpool, nn.Identity) else network.maxpool.stride]
    size = resolution
    for stride in [*strides, *(block.conv2.stride[0] for block in frozen)]:
        size = -(-size // stride)
    return size, size, (frozen[-1].conv3 if frozen else network.conv1).out_channels


def large_batches(device: torch.device, resolution: int) -> Batches:
    """Batches of images for what is done outside of training: they fill the device, and halve where its memory runs out."""
    return Batches(max(1, min(BATCH_PIXELS[device.type] // resolution**2, BATCH_IMAGES[device.type])))


def caches_activations(protocol: Mapping[str, Any]) -> bool:
    """Whether a protocol lets the frozen layers' activations be computed once for all epochs.

    It does where nothing below the trained blocks changes during a run: batch norm does not adapt, and images are not
    augmented, or come in a number of fixed augmented views. Mitigation changes the images themselves.
    """
    if "mitigation" in protocol:
        return False
    return protocol["batch_norm"] != "adapt" and (protocol["augmentation"] == "none" or "views" in protocol)


class ActivationCache:
    """Frozen layers' activations of images, computed once where the protocol allows it.

    They lie on the device as far as its memory goes, beyond that in a memory-mapped file. Where the disk has no room either,
    and where the protocol does not allow a cache, images pass the frozen layers each time ("live"). Both ways give the same
    results up to rounding.
    """

    def __init__(self, model: ImageClassifier, blocks: int, protocol: Mapping[str, Any]):
        """model: its frozen layers must not change where activations are cached."""
        self.model, self.blocks = model, blocks
        self.resolution = protocol["resolution"]
        self.augmentation = protocol["augmentation"]
        self.views = protocol.get("views", 1) if self.augmentation != "none" else 1
        self.allowed = caches_activations(protocol)
        self.device = model.mean.device
        self.batches = large_batches(self.device, self.resolution)
        self._alive: weakref.WeakSet[Inputs] = weakref.WeakSet()
        self.room = CACHE_BYTES
        if self.device.type == "cuda":
            self.room = int(CACHE_SHARE * torch.cuda.mem_get_info(self.device)[0])

    def inputs(self, images: torch.Tensor, generator: torch.Generator | None = None) -> "Inputs":
        """What the trained part gets of uint8 images [n, c, h, w]; generator: of the augmentation, None for test images.

        Raises InputError where activations of fixed augmented views fit neither into memory nor onto the disk.
        """
        if not self.allowed:
            return Inputs(self, images.to(self.device), live=True)
        self.model.eval()
        views = self.views if generator is not None else 1
        shape = (views * len(images), *activation_shape(self.model.network, self.blocks, self.resolution))
        dtype = torch.bfloat16 if torch.is_autocast_enabled(self.device.type) else torch.float32
        size = math.prod(shape) * dtype.itemsize
        room = self.room - sum(other.bytes for other in self._alive)
        activations = allocate(shape, dtype, self.device, room)
        if activations is None:
            if views > 1:
                raise InputError(
                    f"activation cache of {views} views of {len(images)} images: {size / 2**30:.1f} GiB fit neither into memory "
                    "nor into the temporary folder. Set TMPDIR to a folder with space, or lower 'views'."
                )
            logger.warning(
                "activation cache of %d images: %.1f GiB fit nowhere, computed anew each time",
                len(images),
                size / 2**30,
            )
            return Inputs(self, images.to(self.device), live=True)
        if size > room:
            logger.info("activation cache of %d images: %.1f GiB, in a mapped file", len(images), size / 2**30)
        for view in range(views):
            for first in range(0, len(images), VIEW_BATCH):
                some = images[first : first + VIEW_BATCH].to(self.device)
                if generator is not None and self.augmentation != "none":
                    some = augment(to_unit(some, self.resolution), self.augmentation, generator)

                def compute(batch: slice, some: torch.Tensor = some) -> torch.Tensor:
                    x = some[batch] if some.is_floating_point() else to_unit(some[batch], self.resolution)
                    x = pass_frozen(self.model, self.blocks, x)
                    return x if x.dim() == 2 else x.permute(0, 2, 3, 1)

                start = view * len(images) + first
                for batch, computed in self.batches.map(compute, len(some)):
                    activations[start + batch.start : start + batch.stop] = computed
        result = Inputs(self, activations, live=False)
        if size <= room:
            result.bytes = size
            self._alive.add(result)
        return result


class Inputs:
    """What the trained part of a network gets of some images, and the way from there to logits.

    Activations from the cache; or, live, the images themselves, which pass the frozen layers each time.
    """

    def __init__(self, cache: ActivationCache, tensor: torch.Tensor, live: bool):
        """tensor: uint8 images [n, c, h, w] if live, else activations [views n, h, w, c] or [views n, p]."""
        self.cache, self.tensor, self.live = cache, tensor, live
        self.bytes = 0  # of the room for activations that it takes up

    def pick(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The rows that stand for images [b] in an epoch: with several cached views of each, one of them at random."""
        if self.live or self.cache.views == 1:
            return images
        views, size = self.cache.views, len(self.tensor) // self.cache.views
        return images + size * torch.randint(views, images.shape, generator=generator)

    def read(self, rows: torch.Tensor | slice) -> torch.Tensor:
        """Some rows of the tensor, on the network's device."""
        if isinstance(rows, torch.Tensor):
            rows = rows.to(self.tensor.device)
        return self.tensor[rows].to(self.cache.device)

    def images(self, rows: torch.Tensor | slice, generator: torch.Generator | None) -> torch.Tensor:
        """Some of the live images [b, 3, s, s] in [0, 1]; generator: of their augmentation, None for none.

        Raises ValueError where activations are all that there is.
        """
        if not self.live:
            raise ValueError("these inputs are cached activations: take their images from the data set")
        x = to_unit(self.read(rows), self.cache.resolution)
        return x if generator is None else augment(x, self.cache.augmentation, generator)

    def logits(
        self, model: ImageClassifier, rows: torch.Tensor | slice, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Logits [b, classes] of some of the images; generator: of their augmentation if they are live, None for none."""
        if self.live:
            x = pass_frozen(model, self.cache.blocks, self.images(rows, generator))
        else:
            x = self.read(rows)
            x = x if x.dim() == 2 else x.permute(0, 3, 1, 2)
        return pass_trained(model, self.cache.blocks, x)
