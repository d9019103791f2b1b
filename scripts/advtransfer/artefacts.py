"""Reading and writing artefacts: a file that exists is whole, says what it is and what made it, and is refused when it is damaged.

Tensors are stored as safetensors, whose metadata holds one JSON value per key; tables are parquet or CSV. Each carries a hash of its
content, which its reader compares: in its own metadata, a CSV table in the file {table}.sha256 beside it. A hash is the
first 32 hexadecimal digits of a SHA-256, on processors with instructions for it the fastest that hashlib has.

`provenance` is what made an artefact (see `made_of`). It is no part of the content: the same weights made by other code are the same.
"""

import hashlib
import io
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
    import pyarrow
    import torch

# Keys of an artefact's metadata.
HASHES, PROVENANCE = "hashes", "provenance"
REMEDY = "Remove it and make it again."


def hash_of(value: Any) -> str:
    """Hash of a JSON-compatible value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def made_of(settings: Any, code: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The provenance of an artefact, JSON-compatible: {"settings": hash, "code": hash, "inputs": {name: hash}}.

    settings: JSON-compatible, all that the job was told. code: `provenance.code_of` its command line. inputs: of each its content
    hash (`content_hash` of an artefact).
    """
    return {"settings": hash_of(settings), "code": code, "inputs": dict(inputs)}


def differing(stated: Mapping[str, Any] | None, expected: Mapping[str, Any]) -> str | None:
    """Which of "settings", "code" and "inputs" an artefact was made with otherwise than expected; None where all agree.

    Provenances as `made_of` returns them. Of the inputs, those that are expected are compared.
    """
    if stated is None:
        return "provenance"
    for key in ("settings", "code"):
        if stated[key] != expected[key]:
            return key
    odd = any(stated["inputs"].get(name) != found for name, found in expected["inputs"].items())
    return "inputs" if odd else None


@contextmanager
def damage_named(path: str | Path, what: str, remedy: str = REMEDY) -> Iterator[None]:
    """Around the reading of a file: whatever its decoder raises becomes an InputError with the path and the remedy.

    Decoders of damaged files raise nearly anything. what: the words for a file that is intact.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"{path}: not a readable {what} ({reason}). {remedy}") from error


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
    """Write named tensors and JSON-compatible metadata as one safetensors file; the same ones give the same bytes."""
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as part:
        save_file(tensors, part, metadata=_texts(tensors, metadata))
        _sort_metadata(part)


def save_arrays(path: str | Path, arrays: Mapping[str, "np.ndarray"], metadata: Mapping[str, Any]) -> None:
    """`save_tensors` for NumPy arrays, without an import of torch."""
    import numpy as np
    from safetensors.numpy import save_file

    # (ascontiguousarray makes a vector of a single number.)
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    with whole_file(path) as part:
        save_file(arrays, part, metadata=_texts(arrays, metadata))
        _sort_metadata(part)


def load_arrays(path: str | Path, names: list[str] | None = None) -> tuple[dict[str, "np.ndarray"], dict[str, Any]]:
    """`load_tensors` of an artefact of this project as NumPy arrays, without an import of torch."""
    return _load(path, names, "np", own=True)


def load_tensors(
    path: str | Path, names: list[str] | None = None, own: bool = False
) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Read the tensors (all, or the named ones only) and the metadata of a safetensors file.

    own: whether it has to be an artefact of this project. Files of others carry no hashes and are read as they are.
    Raises InputError where the file is missing, is not safetensors, lacks a named tensor, or has not the content that was written.
    """
    # Metadata alone need not wait for an import of torch.
    return _load(path, names, "np" if names == [] else "pt", own)


def _load(
    path: str | Path, names: list[str] | None, framework: str, own: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    metadata, hashes, tensors = _read_safetensors(path, names, framework)
    if hashes is None:
        if own:
            raise _unmarked(path)
        return tensors, metadata
    for name, tensor in tensors.items():
        if _tensor_hash(name, tensor) != hashes["tensors"][name]:
            raise _damaged(path, f"tensor '{name}'")
    return tensors, metadata


def _read_safetensors(
    path: str | Path, names: list[str] | None, framework: str
) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]:
    """Metadata, hashes (None of a file without) and tensors; of these, the names and the metadata are compared."""
    from safetensors import safe_open

    _require_file(path)
    with damage_named(path, "safetensors artefact"), safe_open(path, framework=framework) as file:
        metadata = {key: _value(text) for key, text in (file.metadata() or {}).items()}
        found = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in (found if names is None else names)}
        hashes = metadata.pop(HASHES, None)
        if hashes is not None:
            if hashes["content"] != _content(metadata, hashes["tensors"]) or sorted(hashes["tensors"]) != sorted(found):
                raise _damaged(path, "the metadata")
            if hashes[PROVENANCE] != hash_of(metadata.get(PROVENANCE)):
                raise _damaged(path, "what made it")
    return metadata, hashes, tensors


def _texts(tensors: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    """The metadata as it is stored, hashes included."""
    of_tensors = {name: _tensor_hash(name, tensor) for name, tensor in tensors.items()}
    # As a reader will find it: JSON knows no tuples, and no keys but texts.
    metadata = json.loads(json.dumps(dict(metadata)))
    hashes = {
        "content": _content(metadata, of_tensors),
        PROVENANCE: hash_of(metadata.get(PROVENANCE)),
        "tensors": of_tensors,
    }
    return {key: json.dumps(value, sort_keys=True) for key, value in {**metadata, HASHES: hashes}.items()}


def _content(metadata: Mapping[str, Any], of_tensors: Mapping[str, str]) -> str:
    return hash_of([{key: value for key, value in metadata.items() if key != PROVENANCE}, of_tensors])


def _tensor_hash(name: str, tensor: "torch.Tensor | np.ndarray") -> str:
    """Hash of a contiguous tensor's or array's name, dtype, shape and bytes; both give the same."""
    if hasattr(tensor, "cpu"):
        import torch

        data = tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy()
        dtype = str(tensor.dtype).removeprefix("torch.")
    else:
        data, dtype = tensor.reshape(-1).view("uint8"), tensor.dtype.name
    digest = hashlib.sha256(json.dumps([name, dtype, list(tensor.shape)]).encode())
    digest.update(data)
    return digest.hexdigest()[:32]


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file into the order of its keys: its library writes them in random order.

    The header keeps its length and with it the tensors their places.
    """
    with open(path, "r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        if len(text) != length:
            raise RuntimeError(
                f"{path}: its header, written by safetensors, is {length} bytes long; sorted {len(text)}"
            )
        file.seek(8)
        file.write(text)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # Files of other projects hold plain text here.
        return text


def _require_file(path: str | Path) -> None:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Check the path, or let Snakemake make it.")


def _damaged(path: str | Path, what: str) -> InputError:
    return InputError(f"{path}: damaged, {what} is not as it was written. {REMEDY}")


def _unmarked(path: str | Path) -> InputError:
    return InputError(f"{path}: carries no hash of its content, so this version did not write it. {REMEDY}")


def save_table(path: str | Path, table: "pd.DataFrame", provenance: Mapping[str, Any] | None = None) -> None:
    """Write a table without its index, as parquet or CSV by the ending of `path`; the same one gives the same bytes.

    A CSV table is plain, and gets its hash beside it if it comes with its provenance (`load_csv`).
    """
    if Path(path).suffix == ".parquet":
        _save_parquet(path, table, provenance)
        return
    text = table.to_csv(index=False, lineterminator="\n").encode()
    with whole_file(path) as part:
        part.write_bytes(text)
    if provenance is not None:
        line = f"{hashlib.sha256(text).hexdigest()}  {Path(path).name}\n# {json.dumps(provenance, sort_keys=True)}\n"
        with whole_file(_beside(path)) as part:
            part.write_text(line, encoding="utf-8")


def _save_parquet(path: str | Path, table: "pd.DataFrame", provenance: Mapping[str, Any] | None) -> None:
    import pyarrow
    from pyarrow import parquet

    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    hashes = {"content": _values_hash(arrow), PROVENANCE: hash_of(provenance)}
    metadata = {HASHES: hashes, PROVENANCE: provenance}
    texts = {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}
    arrow = arrow.replace_schema_metadata(None)
    # Without Arrow's own copy of the schema, another place that damage could change.
    options = {"write_page_checksum": True, "store_schema": False}
    with whole_file(path) as part, parquet.ParquetWriter(part, arrow.schema, **options) as writer:
        writer.write_table(arrow)
        writer.add_key_value_metadata(texts)


def load_table(path: str | Path) -> "pyarrow.Table":
    """Read a parquet artefact. Raises InputError where it is missing, or has not the content that was written."""
    from pyarrow import parquet

    _require_file(path)
    with damage_named(path, "parquet artefact"), parquet.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read(use_threads=False)
        stated, _ = _parquet_statement(path, table.schema.metadata)
        table = table.replace_schema_metadata(None)
        if _values_hash(table) != stated:
            raise _damaged(path, "the table")
    return table


def _parquet_statement(path: str | Path, metadata: Mapping[bytes, bytes] | None) -> tuple[str, dict[str, Any] | None]:
    if HASHES.encode() not in (metadata or {}):
        raise _unmarked(path)
    hashes, provenance = (json.loads(metadata[key.encode()]) for key in (HASHES, PROVENANCE))
    if hashes[PROVENANCE] != hash_of(provenance):
        raise _damaged(path, "what made it")
    return hashes["content"], provenance


def _values_hash(table: "pyarrow.Table") -> str:
    """Hash of a table's column names and values, whatever their layout in memory."""
    from pyarrow import types

    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if types.is_primitive(column.type) and not column.null_count:
            digest.update(json.dumps([name, str(column.type), len(column)]).encode())
            digest.update(column.to_numpy())
        else:
            digest.update(json.dumps([name, column.to_pylist()]).encode())
    return digest.hexdigest()[:32]


def load_csv(path: str | Path) -> io.BytesIO:
    """The bytes of a CSV table, compared with the hash beside it.

    Raises InputError where one of the two files is missing, or they do not belong together.
    """
    _require_file(path)
    stated, _ = _csv_statement(path)
    text = Path(path).read_bytes()
    if hashlib.sha256(text).hexdigest() != stated:
        raise InputError(f"{path}: damaged, it has not the hash in {_beside(path)}. Remove both and make them again.")
    return io.BytesIO(text)


def _csv_statement(path: str | Path) -> tuple[str, dict[str, Any] | None]:
    beside = _beside(path)
    if not beside.is_file():
        raise InputError(f"{path}: the file with its hash, {beside}, is missing. Remove the table and make it again.")
    with damage_named(beside, "hash of a table"):
        first, second = beside.read_text(encoding="utf-8").splitlines()
        return first.removesuffix(f"  {Path(path).name}"), json.loads(second.removeprefix("# "))


def _beside(path: str | Path) -> Path:
    return Path(f"{path}.sha256")


def statement(path: str | Path) -> tuple[str, dict[str, Any] | None]:
    """What an artefact says of itself: the hash of its content, and its provenance (None where it came without).

    Tensors and rows are not read, and not compared. Raises InputError where the file is missing, or this cannot be read.
    """
    if Path(path).suffix == ".csv":
        return _csv_statement(path)
    if Path(path).suffix == ".safetensors":
        metadata, hashes, _ = _read_safetensors(path, [], "np")
        if hashes is None:
            raise _unmarked(path)
        return hashes["content"], metadata.get(PROVENANCE)
    from pyarrow import parquet

    _require_file(path)
    with damage_named(path, "parquet artefact"):
        return _parquet_statement(path, parquet.read_metadata(path).metadata)


def content_hash(path: str | Path) -> str:
    """Hash of an artefact's content as it states it; see `statement`."""
    return statement(path)[0]


def save_json(path: str | Path, value: Any) -> None:
    """Write a JSON document that a person can read."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
