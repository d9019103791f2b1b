"""Images on their way to the network: uint8 to [0, 1], bilinear resize as PIL does it, random augmentation per image."""

import functools

import torch
from torch import nn
from torch.nn import functional

# What the authors applied to every target (crop, flip, colour jitter, rotation), and the part of it that source
# training uses.
AUGMENTATIONS = ("none", "paper", "crop_flip")


def to_unit(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """uint8 images [n, c, h, w], c 1 or 3, to float32 [n, 3, resolution, resolution] in [0, 1].

    Resized as PIL's `Image.resize(..., BILINEAR)` does it, antialiased when shrinking: first along rows, then along
    columns, rounded to grey levels after each. Equal to PIL's result but for ties (under 1 value in 100), which differ by 1/255.
    """
    levels = images.to(torch.float32)
    if images.shape[-2:] != (resolution, resolution):
        for size in ((images.shape[-2], resolution), (resolution, resolution)):
            levels = functional.interpolate(levels, size, mode="bilinear", align_corners=False, antialias=True)
            # PIL rounds halves up; so does this, where round() would go to the even neighbour.
            levels = (levels + 0.5).floor()
    return (levels / 255).expand(-1, 3, -1, -1)


@functools.cache
def _pipeline(name: str, resolution: int) -> nn.Module:
    # kornia takes a second to import: networks that train without augmentation do not wait for it.
    from kornia import augmentation

    crop = augmentation.RandomCrop((resolution, resolution), padding=4)
    flip = augmentation.RandomHorizontalFlip(p=0.5)
    if name == "crop_flip":
        return nn.Sequential(crop, flip)
    jitter = augmentation.ColorJitter(brightness=0.25, contrast=0.25, saturation=0.25, p=1.0)
    rotation = augmentation.RandomRotation(degrees=2.0, resample="nearest", p=1.0)
    return nn.Sequential(crop, flip, jitter, rotation)


def augment(images: torch.Tensor, name: str, generator: torch.Generator) -> torch.Tensor:
    """Draw a random augmentation for each image of a batch [n, 3, s, s] in [0, 1], on the images' device.

    name: "none"; "crop_flip" (random crop with padding 4, horizontal flip); "paper", which adds the authors' colour
    jitter (.25, .25, .25) and rotation of up to 2 degrees. generator: a CPU generator, the only source of randomness.
    """
    if name == "none":
        return images
    # kornia draws from torch's global CPU generator: lend it a seed of ours and put its state back afterwards.
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _pipeline(name, images.shape[-1])(images)
