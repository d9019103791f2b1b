"""Thousands of damaged images: each is read, or refused in one line that names it."""

import random
from pathlib import Path

import numpy as np
import pytest
from mutations import TIMES, count_outcomes, damage
from PIL import Image, features

from advtransfer.errors import InputError
from advtransfer.targets.image_folder import build
from advtransfer.targets.listing import count

MANY = 200 * TIMES
# What PIL writes by itself, without programs beside it.
FORMATS = ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm", "pgm", "avif", "dds", "qoi", "spider", "tga", "pcx", "sgi"]
FORMATS += ["ico", "icns", "im", "jp2", "dib", "xbm", "msp", "blp"]
MODES = {"spider": "F", "xbm": "1", "msp": "1", "pgm": "L", "blp": "P"}
NEEDED = {"webp": "webp", "avif": "avif", "jp2": "jpg_2000"}


def write(path: Path, ending: str, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC)
    mode = MODES.get(ending, "RGB")
    picture = picture.convert("L").convert(mode) if mode == "F" else picture.convert(mode)
    options = {"tif": {"compression": "tiff_lzw"}} if seed % 2 else {"tif": {"compression": "tiff_adobe_deflate"}}
    picture.save(path, "SPIDER" if ending == "spider" else None, **options.get(ending, {}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", FORMATS)
def test_damaged_images_are_read_or_named(tmp_path: Path, ending: str) -> None:
    if ending in NEEDED and not features.check(NEEDED[ending]):
        pytest.skip(f"PIL is built without {ending}")
    draw = random.Random(f"{ending} {TIMES}")
    for name in ("ash", "oak"):
        for part in ("train", "test"):
            (tmp_path / part / name).mkdir(parents=True)
            write(tmp_path / part / name / "0.png", "png", 0)
    path = tmp_path / "train" / "ash" / f"1.{ending}"
    whole = []
    for seed in range(3):
        write(path, ending, seed)
        whole.append(path.read_bytes())
    named: list[bool] = []
    settings = {"kind": "image_folder", "path": str(tmp_path), "resolution": 16}

    def read() -> None:
        try:
            dataset = build(settings, tmp_path, "config.yaml: target 'leaves'")
        except InputError as error:
            named.append(f"1 unreadable image file(s): {path} (" in str(error))
            # What is skipped does not count.
            named.append(count({**settings, "unreadable": "skip"}, "")["train"] == 2)
            raise
        assert dataset.train_images.shape[0] == 3

    def inputs():
        for index in range(MANY):
            path.write_bytes(damage(draw.choice(whole), [*whole, b"\xff" * 16, b"\0" * 16], draw))
            yield f"{ending} {index}", read

    outcomes = count_outcomes(f"images, {ending}", inputs())
    assert outcomes["refused"] == len(named) / 2 > 0
    assert all(named)
