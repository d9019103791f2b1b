"""Letters drawn from the fonts that matplotlib ships: a small target, offline, the same bytes every time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from advtransfer.datasets import Dataset
from advtransfer.targets.catalogue import INSTALLED

GLYPHS = INSTALLED["glyphs"]
LETTERS = "ABCDEFGHIJ"
FONTS = [
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
    "cmb10",
    "cmr10",
    "cmti10",
    "cmtt10",
]
# These appear in the test images only, beside the others.
TEST_FONTS = ["DejaVuSansMono-Oblique", "DejaVuSerif", "STIXGeneralBol", "cmss10"]

PIXELS = GLYPHS.shape[1]
# Letters are drawn on a canvas of this many times the resolution and averaged down, so that edges are grey.
OVERSAMPLING = 4
SEED = 0


def build(settings: Mapping[str, Any], downloads: Path, place: str) -> Dataset:
    """2,000 training and 500 test images of the letters A to J, grey 32x32, the classes in equal numbers.

    Font, size, position, rotation, shear, stroke weight, grey levels (dark on bright or bright on dark), a sloping
    background, stray lines, blur and noise are drawn at random from fixed seeds. The test images are draws of their
    own, and 4 of the 18 fonts appear in them only.
    """
    train_images, train_labels = _draw_part(GLYPHS.train, FONTS, seed=(SEED, 0))
    test_images, test_labels = _draw_part(GLYPHS.test, FONTS + TEST_FONTS, seed=(SEED, 1))
    return Dataset(
        train_images,
        train_labels,
        test_images,
        test_labels,
        list(LETTERS),
        {
            "kind": "glyphs",
            "source": "rendered from the fonts of matplotlib",
            "fonts": FONTS,
            "test_fonts": FONTS + TEST_FONTS,
            "seed": SEED,
        },
    )


def _draw_part(images: int, fonts: Sequence[str], seed: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 [n, 1, 32, 32] and labels int64 [n], in random order."""
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    canvas = PIXELS * OVERSAMPLING
    # Capitals are about 0.7 of the font size high.
    loaded = [
        ImageFont.truetype(str(folder / f"{name}.ttf"), canvas, layout_engine=ImageFont.Layout.BASIC) for name in fonts
    ]
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(images) % len(LETTERS))
    drawn = [_draw_glyph(LETTERS[label], loaded[random.integers(len(loaded))], random) for label in labels]
    return torch.from_numpy(np.stack(drawn)[:, None]), torch.from_numpy(labels.astype(np.int64))


def _draw_glyph(letter: str, font: ImageFont.FreeTypeFont, random: np.random.Generator) -> np.ndarray:
    """One image, uint8 [32, 32]."""
    canvas = PIXELS * OVERSAMPLING
    # The letter alone, white on black, centred by its bounding box; then distorted about the centre.
    stencil = Image.new("L", (canvas, canvas))
    weight = int(random.integers(0, 5))
    left, top, right, bottom = font.getbbox(letter, stroke_width=weight)
    corner = ((canvas - left - right) / 2, (canvas - top - bottom) / 2)
    ImageDraw.Draw(stencil).text(corner, letter, fill=255, font=font, stroke_width=weight)
    stencil = stencil.transform(
        (canvas, canvas), Image.Transform.AFFINE, _distortion(canvas, random), Image.Resampling.BILINEAR
    )
    # Stray lines in the letter's own grey: what is a stroke has to be learned.
    lines = ImageDraw.Draw(stencil)
    for _ in range(random.integers(0, 4)):
        ends = random.uniform(0, canvas, 4).tolist()
        lines.line(ends, fill=255, width=int(random.integers(OVERSAMPLING // 2, 2 * OVERSAMPLING)))
    stencil = stencil.reduce(OVERSAMPLING).filter(ImageFilter.GaussianBlur(random.uniform(0, 0.8)))
    cover = np.asarray(stencil, dtype=np.float64) / 255

    background = random.uniform(40, 215)
    contrast = random.uniform(50, 130) * random.choice([-1, 1])
    slope = random.uniform(-40, 40, 2)
    position = np.linspace(-0.5, 0.5, PIXELS)
    grey = background + slope[0] * position[:, None] + slope[1] * position[None, :] + contrast * cover
    grey += random.normal(0, random.uniform(4, 20), grey.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _distortion(canvas: int, random: np.random.Generator) -> tuple[float, ...]:
    """The six coefficients that map a point of the distorted letter back to the upright one, as PIL wants them."""
    angle = np.deg2rad(random.uniform(-20, 20))
    shear = random.uniform(-0.25, 0.25)
    width, height = random.uniform(0.7, 1.1, 2)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    back = np.diag([1 / width, 1 / height]) @ np.array([[1, shear], [0, 1]]) @ rotation
    centre = np.full(2, canvas / 2)
    offset = centre - back @ (centre + random.uniform(-0.12, 0.12, 2) * canvas)
    return tuple(float(value) for value in np.column_stack([back, offset]).ravel())
