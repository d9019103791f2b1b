"""Long settings in a short text: a job's command has little room, and the paths of thousands of files are much alike."""

import base64
import json
import zlib
from typing import Any

from advtransfer.errors import InputError


def pack(value: Any) -> str:
    """A JSON-compatible value as letters, digits, "+", "/" and "=", a tenth as long as its JSON where much of it repeats.

    Keys keep their order: that of protocols and sources in the configuration means something.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> Any:
    """The value that `pack` was given. Raises InputError for any other text."""
    try:
        return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (ValueError, zlib.error) as error:
        raise InputError(
            f"'{text[:20]}...': not what packing.pack makes ({error}). Let Snakemake write this option."
        ) from None
