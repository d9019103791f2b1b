"""Reading and writing artefacts: a file that exists is whole, and it says what it is.

Tensors are stored as safetensors, whose metadata holds one JSON value per key; tables are parquet or CSV.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advtransfer.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` on success, remove it on any error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    # mkstemp makes private files (0600); an artefact gets the permissions that the user's umask asks for.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)
    try:
        yield Path(name)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def save_tensors(path: str | Path, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, Any]) -> None:
    """Write named tensors and JSON-compatible metadata as one safetensors file."""
    from safetensors.torch import save_file

    with whole_file(path) as part:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, metadata=_texts(metadata))


def save_arrays(path: str | Path, arrays: Mapping[str, "np.ndarray"], metadata: Mapping[str, Any]) -> None:
    """`save_tensors` for NumPy arrays, without an import of torch."""
    import numpy as np
    from safetensors.numpy import save_file

    with whole_file(path) as part:
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, part, metadata=_texts(metadata)
        )


def load_arrays(path: str | Path, names: list[str] | None = None) -> tuple[dict[str, "np.ndarray"], dict[str, Any]]:
    """`load_tensors` as NumPy arrays, without an import of torch."""
    return _load(path, names, "np")


def load_tensors(path: str | Path, names: list[str] | None = None) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Read the tensors (all, or the named ones only) and the metadata of a safetensors file.

    Raises InputError where the file is missing, is not safetensors, or lacks a named tensor.
    """
    # Metadata alone need not wait for an import of torch.
    return _load(path, names, "np" if names == [] else "pt")


def _load(path: str | Path, names: list[str] | None, framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Check the path, or let Snakemake make it.")
    try:
        with safe_open(path, framework=framework) as file:
            metadata = {key: _value(text) for key, text in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}
    except SafetensorError as error:
        raise InputError(
            f"{path}: not a readable safetensors artefact ({error}). Remove it and make it again."
        ) from error
    return tensors, metadata


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # Files of other projects hold plain text here.
        return text


def save_table(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a table without its index, as parquet or CSV by the ending of `path`."""
    with whole_file(path) as part:
        if Path(path).suffix == ".parquet":
            table.to_parquet(part, index=False)
        else:
            table.to_csv(part, index=False, lineterminator="\n")


def save_json(path: str | Path, value: Any) -> None:
    """Write a JSON document that a person can read."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
