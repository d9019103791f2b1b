"""Reading torch's files without trusting them: tensors come out, nothing that a file names is imported or called.

A pickle is a program that may call any function it names. Here every name that is not in a short list stands for one inert
object, which swallows whatever the program does to it. Tensors are only described while the program runs, and read
afterwards, those that are asked for.
"""

import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from advtransfer.errors import InputError

# What torch.save wrote before files became zip archives: this number, then a protocol version (torch.serialization).
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# The program of a checkpoint describes tensors; that of the largest networks takes less than a megabyte.
MOST_PROGRAM_BYTES = 2**28
# Tuples within tuples, as keys, are hashed by recursion: a million of them overflow the stack of the interpreter. A network
# takes 5 for a tensor.
MOST_TUPLES = 30_000
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _InertType(type):
    """Calling, filling or setting the inert object gives the inert object again."""

    def __call__(cls, *args: Any, **kwargs: Any) -> "_InertType":
        return cls

    def __setattr__(cls, name: str, value: Any) -> None:
        pass

    def __setitem__(cls, key: Any, value: Any) -> None:
        pass

    def _swallow(cls, *args: Any) -> None:
        pass

    append = extend = add = __setstate__ = _swallow


class Inert(metaclass=_InertType):
    """Stands for every class, function and object of a file that is not a tensor or a plain container."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _InertType:  # noqa: D102
        return cls


class Container(dict):
    """Stands for OrderedDict; attributes that the file gives it are left out."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


# Named tuples: a file can neither make one nor change one.
class Storage(NamedTuple):
    """A block of `numel` elements of one type under a key of its file, or a part of it that begins at `start`."""

    key: str
    dtype: torch.dtype
    numel: int
    start: int = 0


class StoredTensor(NamedTuple):
    """A tensor of a file, not read yet: a strided view (offset and strides in elements) of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class TorchFile:
    """A file of torch.save, zip or legacy format.

    `content` is what was saved, with StoredTensor in the place of tensors and Inert in the place of all that is no plain
    container, number or text. Raises InputError where the file is no such file, or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file. Check the path.")
        _refuse_what_is_no_checkpoint(self.path)
        # Where each storage of a legacy file begins, in bytes from the file's start.
        self._places: dict[str, int] = {}
        self._root = ""
        try:
            if zipfile.is_zipfile(self.path):
                self.content = self._open_zip()
            else:
                self.content = self._open_legacy()
        except InputError:
            raise
        except Exception as error:
            # Bytes that are no such program make the unpickler raise anything, KeyError and IndexError included.
            reason = " ".join(str(error).split()) or "its end is missing"
            raise InputError(
                f"{path}: not a file of torch.save, or a damaged one ({type(error).__name__}: {reason}). Get it again."
            ) from None

    def _open_zip(self) -> Any:
        with zipfile.ZipFile(self.path) as archive:
            names = archive.namelist()
            programs = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
            if len(programs) != 1:
                raise InputError(f"{self.path}: a zip archive without one data.pkl. Give a file of torch.save.")
            self._root = programs[0].split("/")[0]
            if archive.getinfo(programs[0]).file_size > MOST_PROGRAM_BYTES:
                raise InputError(
                    f"{self.path}: {programs[0]} is too large for a checkpoint. Save the state dict alone."
                )
            order = f"{self._root}/byteorder"
            if order in names and archive.read(order) != b"little":
                raise InputError(f"{self.path}: stored in big-endian byte order. Save it on a little-endian machine.")
            with archive.open(programs[0]) as program:
                return _Unpickler(program, self._storage).load()

    def _open_legacy(self) -> Any:
        with open(self.path, "rb") as file:
            # Anything else ends here, before more of it is run.
            if _Unpickler(file, self._storage).load() != LEGACY_MAGIC:
                raise pickle.UnpicklingError("no magic number of torch")
            for _ in ("protocol version", "facts about the machine"):
                _Unpickler(file, self._storage).load()
            storages: dict[str, Storage] = {}

            def note(saved_id: Any) -> Any:
                found = self._storage(saved_id)
                if isinstance(found, Storage):
                    storages[found.key] = found
                return found

            content = _Unpickler(file, note).load()
            for key in _Unpickler(file, self._storage).load():
                (numel,) = struct.unpack("<q", file.read(8))
                if key not in storages or numel < 0:
                    raise pickle.UnpicklingError(f"storage {key!r} of {numel} elements is not referred to")
                self._places[key] = file.tell()
                file.seek(numel * storages[key].dtype.itemsize, 1)
            return content

    @staticmethod
    def _storage(saved_id: Any) -> Any:
        """What a persistent id stands for: ("storage", type, key, location, numel[, (view key, start, numel)])."""
        if not isinstance(saved_id, tuple) or not saved_id or saved_id[0] != "storage":
            # Legacy files put the source text of whole modules here.
            return Inert
        _, dtype, key, _, numel, *view = saved_id
        if not isinstance(dtype, torch.dtype) or not isinstance(key, str) or not _is_count(numel):
            raise pickle.UnpicklingError(f"storage {key!r} of an unknown type or size")
        if view and view[0] is not None:
            _, start, length = view[0]
            if not _is_count(start) or not _is_count(length) or start + length > numel:
                raise pickle.UnpicklingError(f"storage {key!r} has a part that is larger than itself")
            return Storage(key, dtype, length, start)
        return Storage(key, dtype, numel)

    def read(self, stored: StoredTensor) -> torch.Tensor:
        """The values of a tensor [shape], contiguous. Raises InputError where the file does not hold them."""
        storage, shape = stored.storage, stored.shape
        finding = None
        if not all(map(_is_count, (stored.offset, *shape, *stored.strides))) or len(shape) != len(stored.strides):
            finding = f"shape {shape} with strides {stored.strides}"
        elif math.prod(shape) > storage.numel:
            finding = f"{math.prod(shape)} elements out of {storage.numel}"
        elif math.prod(shape):
            last = stored.offset + sum((n - 1) * stride for n, stride in zip(shape, stored.strides, strict=True))
            if last >= storage.numel:
                finding = f"element {last} of {storage.numel}"
        if finding:
            raise InputError(f"{self.path}: a tensor asks for {finding} of its storage. Use an intact checkpoint.")
        size = storage.dtype.itemsize
        begin, length = storage.start * size, storage.numel * size
        try:
            # Sizes are compared before anything of that size is read.
            if self._root:
                with zipfile.ZipFile(self.path) as archive:
                    entry = archive.getinfo(f"{self._root}/data/{storage.key}")
                    found = entry.file_size - begin
                    content = archive.read(entry)[begin : begin + length] if found >= length else b""
            else:
                begin += self._places[storage.key]
                found = self.path.stat().st_size - begin
                with open(self.path, "rb") as file:
                    file.seek(begin)
                    content = file.read(length) if found >= length else b""
        except (KeyError, OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"{self.path}: storage {storage.key} is not readable ({error}). Get the file again."
            ) from None
        if len(content) != length:
            raise InputError(f"{self.path}: storage {storage.key} has {found} of {length} bytes. Get the file again.")
        if not math.prod(shape):
            return torch.empty(shape, dtype=storage.dtype)
        flat = torch.frombuffer(bytearray(content), dtype=storage.dtype)
        return flat.as_strided(shape, stored.strides, stored.offset).clone(memory_format=torch.contiguous_format)


class _Unpickler(pickle.Unpickler):
    """Runs a pickle in which only the names of ALLOWED mean something."""

    def __init__(self, file: IO[bytes], storage: Callable[[Any], Any]):
        # latin1 reads texts of Python 2 whatever they hold.
        begin = file.tell()
        tuples = sum(op.name.startswith(("TUPLE", "FROZENSET")) for op, _, _ in pickletools.genops(file))
        if tuples > MOST_TUPLES:
            raise pickle.UnpicklingError(f"{tuples} tuples, a checkpoint has no more than {MOST_TUPLES}")
        file.seek(begin)
        super().__init__(file, encoding="latin1")
        self._storage_of = storage

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.cuda") and name in DTYPES:
            return DTYPES[name]
        return ALLOWED.get((module, name), Inert)

    def persistent_load(self, saved_id: Any) -> Any:
        return self._storage_of(saved_id)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        return Inert
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _tensor_of_type(function: Any, type_: Any, arguments: Any, *_: Any) -> Any:
    """A tensor with Python attributes; they are left out."""
    if function not in (_tensor, _parameter) or not isinstance(arguments, tuple):
        return Inert
    return function(*arguments)


ALLOWED = {
    ("collections", "OrderedDict"): Container,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _tensor_of_type,
}


def _refuse_what_is_no_checkpoint(path: Path) -> None:
    """Raise InputError for the files that downloads leave in place of a checkpoint."""
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    if not start:
        raise InputError(f"{path}: the file is empty. Get it again.")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path}: a web page, not a checkpoint. Download the file itself.")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: a pointer of Git LFS, not the checkpoint. Fetch the file itself with git lfs pull.")
