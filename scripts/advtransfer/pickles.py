"""Reading torch's files without trusting them: tensors come out, nothing that a file names is imported or called.

A pickle is a program that may call any function it names, build keys that take for ever to hash, and nest without end. Here
a small machine of its own runs it: names that are not in a short list stand for one inert object, only texts are keys, no
step depends on how deep values nest, and the number of steps is limited. Tensors are only described while the program runs,
and read afterwards, those that are asked for, each storage once.
"""

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import IO, Any, NamedTuple

import torch

from advtransfer.downloads import stand_in
from advtransfer.errors import InputError

# What torch.save wrote before files became zip archives: this number, then a protocol version (torch.serialization).
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# The program of a checkpoint describes tensors. That of a ResNet-50 with its optimiser and a second copy, as the package
# `robustness` saves it, has 73 kilobytes and 17,000 operations; a million take seconds.
MOST_PROGRAM_BYTES = 2**26
MOST_OPERATIONS = 1_000_000
# Longer texts are no names: comparing two that are equal takes time in their length.
MOST_NAME = 1000
MOST_DIMENSIONS = 16
MOST_ARGUMENTS = 16
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
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "QInt32Storage": torch.qint32,
    # Bytes, whose meaning the tensors say.
    "UntypedStorage": torch.uint8,
}
ELEMENT_TYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


class _Inert:
    """Stands for every class, function and object of a file that is not a tensor or a plain container."""

    def __repr__(self) -> str:
        return "INERT"


INERT = _Inert()


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


class UnreadTensor(NamedTuple):
    """A tensor of a kind that is not read: what is the matter with it, and the remedy, as the end of a message."""

    finding: str


class TorchFile:
    """A file of torch.save, zip or legacy format.

    `content` is what was saved: StoredTensor or UnreadTensor in the place of tensors, INERT in the place of all that is no
    plain container, number or text, and of dicts the entries under texts. Raises InputError where the file is no such file,
    or is damaged.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file. Check the path.")
        found = stand_in(self.path)
        if found is not None:
            raise InputError(f"{path}: {found[0]}. {found[1]}")
        # Where each storage of a legacy file begins and its length, in bytes.
        self._places: dict[str, tuple[int, int]] = {}
        self._root = ""
        self._contents: dict[str, bytearray] = {}
        self._tensors: dict[StoredTensor, torch.Tensor] = {}
        self._copied_bytes = 0
        try:
            if zipfile.is_zipfile(self.path):
                self.content = self._open_zip()
            else:
                self.content = self._open_legacy()
        except InputError:
            raise
        except Exception as error:
            # Bytes that are no such program make the reader raise anything, KeyError and IndexError included.
            raise InputError(
                f"{path}: not a file of torch.save, or a damaged one ({type(error).__name__}: {_reason(error)}). "
                "Get it again."
            ) from None

    def _open_zip(self) -> Any:
        with zipfile.ZipFile(self.path) as archive:
            names = archive.namelist()
            programs = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
            if len(programs) != 1:
                raise InputError(f"{self.path}: a zip archive without one data.pkl. Give a file of torch.save.")
            if len(set(names)) < len(names):
                raise InputError(f"{self.path}: a zip archive with two members of the same name. Get it again.")
            self._root = programs[0].split("/")[0]
            order = f"{self._root}/byteorder"
            if order in names and self._member(archive, "byteorder") != b"little":
                raise InputError(f"{self.path}: stored in big-endian byte order. Save it on a little-endian machine.")
            if archive.getinfo(programs[0]).file_size > MOST_PROGRAM_BYTES:
                raise InputError(f"{self.path}: its data.pkl is too large for a checkpoint. Save the state dict alone.")
            return _run(io.BytesIO(self._member(archive, "data.pkl")), _storage)

    def _member(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """The content of a member. Raises InputError where it is packed: unpacked it may be of any size."""
        entry = archive.getinfo(f"{self._root}/{name}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise InputError(f"{self.path}: its {name} is packed, which torch.save does not do. Save it again.")
        return archive.read(entry)

    def _open_legacy(self) -> Any:
        with open(self.path, "rb") as file:
            # A copy in memory answers a demand for more bytes than there are with those that are there.
            programs = io.BytesIO(file.read(MOST_PROGRAM_BYTES))
            # Anything else ends here, before more of it is run.
            magic = _run(programs, _storage)
            if type(magic) is not int or magic != LEGACY_MAGIC:
                raise pickle.UnpicklingError("no magic number of torch")
            for _ in ("protocol version", "facts about the machine"):
                _run(programs, _storage)
            storages: dict[str, Storage] = {}

            def note(saved_id: Any) -> Any:
                found = _storage(saved_id)
                if isinstance(found, Storage):
                    storages[found.key] = found
                return found

            content = _run(programs, note)
            keys = _run(programs, _storage)
            if type(keys) is not list:
                raise pickle.UnpicklingError("no list of storages")
            file.seek(programs.tell())
            for key in keys:
                (numel,) = struct.unpack("<q", file.read(8))
                if not _is_name(key) or key not in storages or not _is_count(numel):
                    raise pickle.UnpicklingError(f"storage {_short(key)} of {numel} elements is not referred to")
                size = numel * storages[key].dtype.itemsize
                self._places[key] = file.tell(), size
                file.seek(size, 1)
            return content

    def read(self, stored: StoredTensor) -> torch.Tensor:
        """The values of a tensor [shape], contiguous. Raises InputError where the file does not hold them.

        What is asked for twice, or is all of its storage, shares memory; do not write into it.
        """
        if stored in self._tensors:
            return self._tensors[stored]
        storage, elements = stored.storage, math.prod(stored.shape)
        finding = None
        if elements > storage.numel:
            finding = f"{elements} elements out of {storage.numel}"
        elif elements:
            steps = ((n - 1) * stride for n, stride in zip(stored.shape, stored.strides, strict=True))
            last = stored.offset + sum(steps)
            if last >= storage.numel:
                finding = f"element {last} of {storage.numel}"
        if finding:
            raise InputError(f"{self.path}: a tensor asks for {finding} of its storage. Use an intact checkpoint.")
        if not elements:
            return self._tensors.setdefault(stored, torch.empty(stored.shape, dtype=storage.dtype))
        content = self._content(storage.key)
        size = storage.dtype.itemsize
        begin, length = storage.start * size, storage.numel * size
        if len(content) < begin + length:
            raise InputError(
                f"{self.path}: storage {storage.key} has {max(len(content) - begin, 0)} of {length} bytes. "
                "Get the file again."
            )
        flat = torch.frombuffer(content, dtype=storage.dtype, count=storage.numel, offset=begin)
        tensor = flat.as_strided(stored.shape, stored.strides, stored.offset)
        if elements < storage.numel or not tensor.is_contiguous():
            # The parts of a storage are no more than the whole; overlapping ones could ask for any amount of memory.
            self._copied_bytes += elements * size
            if self._copied_bytes > 2 * self.path.stat().st_size:
                raise InputError(f"{self.path}: its tensors overlap without end. Save the state dict alone.")
            tensor = tensor.clone(memory_format=torch.contiguous_format)
        return self._tensors.setdefault(stored, tensor)

    def _content(self, key: str) -> bytearray:
        """The bytes of a storage, read once. Raises InputError where they are not readable."""
        if key not in self._contents:
            try:
                if self._root:
                    with zipfile.ZipFile(self.path) as archive:
                        content = self._member(archive, f"data/{key}")
                else:
                    place, length = self._places[key]
                    with open(self.path, "rb") as file:
                        file.seek(place)
                        content = file.read(min(length, max(self.path.stat().st_size - place, 0)))
            except InputError:
                raise
            except Exception as error:
                # Archives whose headers are damaged make zipfile raise anything, UnicodeDecodeError included.
                raise InputError(
                    f"{self.path}: storage {key} is not readable ({_reason(error)}). Get the file again."
                ) from None
            self._contents[key] = bytearray(content)
        return self._contents[key]


# Element types of weights and of counters.
READ_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
READ_TYPES += (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
# Operations whose argument is the value: a number, a text or bytes.
LITERALS = frozenset(
    operation.name
    for operation in pickletools.opcodes
    if operation.arg and not operation.stack_before and operation.stack_after not in ([], [pickletools.anyobject])
)
# Operations that make something new.
NEW = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    **dict.fromkeys(("EMPTY_SET", "NEXT_BUFFER", "EXT1", "EXT2", "EXT4"), lambda: INERT),
}


def _run(program: IO[bytes], storage_of: Callable[[Any], Any]) -> Any:
    """What a pickle describes; the file is left behind its end. storage_of: what a persistent id stands for.

    Values are None, numbers, texts, bytes, lists, tuples, dicts with texts as keys, the named tuples above, torch.dtype, the
    functions of ALLOWED and INERT; sets are inert, and so are numbers and tuples as keys.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    spent = 0

    def pop_to_mark() -> list[Any]:
        place = marks.pop()
        values = stack[place:]
        del stack[place:]
        return values

    for opcode, argument, _ in pickletools.genops(program):
        name = opcode.name
        spent += 1
        if spent > MOST_OPERATIONS:
            raise pickle.UnpicklingError(f"more than {MOST_OPERATIONS} operations, a checkpoint has fewer")
        if name in LITERALS:
            stack.append(argument)
        elif name in NEW:
            stack.append(NEW[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            values = tuple(stack[-count:])
            if len(values) < count:
                raise IndexError("stack")
            stack[-count:] = [values]
        elif name == "TUPLE":
            stack.append(tuple(pop_to_mark()))
        elif name == "LIST":
            stack.append(pop_to_mark())
        elif name == "DICT":
            stack.append(_fill({}, pop_to_mark()))
        elif name == "FROZENSET":
            pop_to_mark()
            stack.append(INERT)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _fill(stack[-1], [key, value])
        elif name == "SETITEMS":
            values = pop_to_mark()
            _fill(stack[-1], values)
        elif name == "APPEND":
            value = stack.pop()
            if type(stack[-1]) is list:
                stack[-1].append(value)
        elif name == "APPENDS":
            values = pop_to_mark()
            if type(stack[-1]) is list:
                stack[-1].extend(values)
        elif name == "ADDITEMS":
            pop_to_mark()
        elif name == "BINPERSID":
            stack.append(storage_of(stack.pop()))
        elif name == "PERSID":
            stack.append(storage_of(argument))
        elif name == "GLOBAL":
            stack.append(_find(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_find(module, attribute))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ"):
            if name == "INST":
                function, arguments = _find(*argument.split(" ", 1)), tuple(pop_to_mark())
            elif name == "OBJ":
                function, *rest = pop_to_mark()
                arguments = tuple(rest)
            else:
                if name == "NEWOBJ_EX":
                    stack.pop()
                arguments, function = stack.pop(), stack.pop()
            if function is _ordered_dict and type(arguments) is tuple and arguments and type(arguments[0]) is list:
                # The same list may be copied again and again.
                spent += len(arguments[0])
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            # Attributes, of which dicts and tensors have none here.
            stack.pop()
        elif name == "POP":
            if marks and marks[-1] == len(stack):
                marks.pop()
            else:
                stack.pop()
        elif name == "POP_MARK":
            pop_to_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME", "READONLY_BUFFER"):
            raise pickle.UnpicklingError(f"operation {name}")
    raise AssertionError("genops ends with STOP or raises")


def _fill(container: Any, values: list[Any]) -> Any:
    if type(container) is dict:
        for key, value in zip(values[::2], values[1::2], strict=True):
            if _is_name(key):
                container[key] = value
    return container


def _find(module: Any, name: Any) -> Any:
    """What a name stands for in the machine. Nothing is imported."""
    if not _is_name(module) or not _is_name(name):
        return INERT
    if module in ("torch", "torch.cuda", "torch.storage") and name in DTYPES:
        return DTYPES[name]
    if module == "torch" and name in ELEMENT_TYPES:
        return ELEMENT_TYPES[name]
    return ALLOWED.get((module, name), INERT)


def _call(function: Any, arguments: Any) -> Any:
    # The only functions among the machine's values are those of ALLOWED.
    if type(function) is not FunctionType or type(arguments) is not tuple or len(arguments) > MOST_ARGUMENTS:
        return INERT
    return function(*arguments)


def _storage(saved_id: Any) -> Any:
    """What a persistent id stands for: ("storage", type, key, location, numel[, (view key, start, numel)])."""
    if type(saved_id) is not tuple or not 5 <= len(saved_id) <= 6 or saved_id[0] != "storage":
        # Legacy files put the source text of whole modules here.
        return INERT
    _, dtype, key, _, numel, *view = saved_id
    if not isinstance(dtype, torch.dtype) or not _is_name(key) or not key.isprintable() or not _is_count(numel):
        raise pickle.UnpicklingError(f"storage {_short(key)} of an unknown type or size")
    if view and view[0] is not None:
        if type(view[0]) is not tuple or len(view[0]) != 3:
            raise pickle.UnpicklingError(f"storage {_short(key)} has a part of an unknown form")
        _, start, length = view[0]
        if not _is_count(start) or not _is_count(length) or start + length > numel:
            raise pickle.UnpicklingError(f"storage {_short(key)} has a part that is larger than itself")
        return Storage(key, dtype, length, start)
    return Storage(key, dtype, numel)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
    if not isinstance(storage, Storage):
        return INERT
    sizes_are_counts = (
        type(shape) is tuple
        and type(strides) is tuple
        and len(shape) == len(strides) <= MOST_DIMENSIONS
        and all(map(_is_count, (offset, *shape, *strides)))
    )
    # Zero times anything is no element, and still too large for torch.
    if not sizes_are_counts or math.prod(max(n, 1) for n in shape) >= 2**62:
        return UnreadTensor("has a shape, strides or an offset that no tensor has. Use an intact checkpoint.")
    # requires_grad, hooks, then what a view does to its values.
    if len(rest) > 2 and type(rest[2]) is dict and rest[2].get("neg") is True:
        return UnreadTensor("is a negated view of other values. Save a copy of it (resolve_neg).")
    if storage.dtype not in READ_TYPES:
        return unread_type(storage.dtype)
    return StoredTensor(storage, offset, shape, strides)


def _tensor_of_bytes(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
    """A tensor whose element type has no storage class of its own: 8-bit floats, unsigned integers."""
    dtype = rest[2] if len(rest) > 2 and isinstance(rest[2], torch.dtype) else "of an unknown type"
    return unread_type(dtype)


def unread_type(dtype: Any) -> UnreadTensor:
    """What to say of a tensor whose elements are no weights: complex numbers, 8-bit floats, and others."""
    name = str(dtype).removeprefix("torch.")
    return UnreadTensor(
        f"holds values {name if ' ' in name else f'of type {name}'}; weights are float16, bfloat16, float32 or float64. "
        "Convert the network to float32 and save its state dict again."
    )


def _parameter(data: Any = INERT, *_: Any) -> Any:
    return data


def _tensor_of_type(function: Any = INERT, type_: Any = INERT, arguments: Any = (), *_: Any) -> Any:
    """A tensor with Python attributes; they are left out."""
    return _call(function, arguments) if function in (_tensor, _tensor_of_bytes, _parameter) else INERT


def _ordered_dict(pairs: Any = (), *_: Any) -> Any:
    """An OrderedDict; Python 2 gives its entries as a list of pairs."""
    values = []
    for pair in pairs if type(pairs) is list else ():
        if type(pair) in (list, tuple) and len(pair) == 2:
            values += pair
    return _fill({}, values)


def _size(values: Any = (), *_: Any) -> Any:
    return values if type(values) is tuple else INERT


def _quantised(*_: Any) -> UnreadTensor:
    return UnreadTensor("is quantised. Save the network as it was before it was quantised.")


def _sparse(*_: Any) -> UnreadTensor:
    return UnreadTensor("is sparse. Save it with to_dense().")


ALLOWED = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch", "Size"): _size,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_bytes,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._utils", "_rebuild_qtensor"): _quantised,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
    ("torch._tensor", "_rebuild_from_type_v2"): _tensor_of_type,
}


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _is_name(value: Any) -> bool:
    return type(value) is str and len(value) <= MOST_NAME


def _short(value: Any) -> str:
    """A value of a file in a message: never long, never nested."""
    return repr(value[:40]) if type(value) is str else type(value).__name__


def _reason(error: BaseException) -> str:
    return " ".join(str(error)[:200].split()) or "its end is missing"
