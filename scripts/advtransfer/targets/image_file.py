"""One image file as an array. No torch here: image folders are looked through before any job runs."""

from pathlib import Path

import numpy as np


class UnreadableImageError(ValueError):
    """A file that is not read as an image; the message says why, in a few words."""


def read_image(file: Path, resolution: int | None = None, shorter_side: int | None = None) -> np.ndarray:
    """One image as uint8 [h, w] (grey) or [h, w, 3].

    resolution: pixels of a side to which the whole image is resized (bilinear). shorter_side: the shorter side is resized to
    so many pixels first, and the central square of `resolution` is cut out. Transparency is dropped, 16 bits become 8,
    floating-point pixels have to lie in 0 to 255, and of a moving image the first frame counts. Raises
    UnreadableImageError, whatever is wrong with the file.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F":
                # PIL's own conversion clips at 0 and 255, which makes black of values from 0 to 1.
                levels = np.asarray(image)
                if not 0 <= levels.min() <= levels.max() <= 255 or 0 < levels.max() <= 1:
                    raise UnreadableImageError(f"pixels from {levels.min():g} to {levels.max():g}, not from 0 to 255")
                image = Image.fromarray(levels.round().astype(np.uint8))
            if image.mode.startswith("I"):
                # PIL's own conversion clips 16-bit grey at 255 instead of scaling it.
                levels = np.asarray(image).astype(np.int64)
                if levels.min() < 0 or levels.max() > 65535:
                    raise UnreadableImageError("pixels have more than 16 bits")
                image = Image.fromarray((levels // 257).astype(np.uint8))
            grey = image.mode in ("1", "L")
            image = image.convert("L" if grey else "RGB")
        if shorter_side is not None:
            # Sides are rounded down and corners to the nearest pixel, as torchvision's transforms do.
            width, height = (shorter_side * side // min(image.size) for side in image.size)
            if width * height > Image.MAX_IMAGE_PIXELS:
                # A line of pixels, which fits into any file, would become a picture that fits into no memory.
                raise UnreadableImageError(f"{image.width}x{image.height} pixels is too narrow to be resized")
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            left, top = round((width - resolution) / 2), round((height - resolution) / 2)
            image = image.crop((left, top, left + resolution, top + resolution))
        elif resolution is not None and image.size != (resolution, resolution):
            image = image.resize((resolution, resolution), Image.Resampling.BILINEAR)
        return np.asarray(image)
    except UnreadableImageError:
        raise
    except Exception as error:
        # PIL raises anything for damaged files, by format: struct.error, KeyError, TypeError and AssertionError included.
        raise UnreadableImageError(" ".join(str(error)[:120].split()) or type(error).__name__) from None
