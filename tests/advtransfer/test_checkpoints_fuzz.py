"""Thousands of damaged checkpoints: each is read, or refused in one line; nothing runs, crashes or hangs."""

import io
import pickle
import pickletools
import random
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from mutations import TIMES, count_outcomes, damage

from advtransfer.artefacts import save_tensors
from advtransfer.checkpoints import import_checkpoint
from advtransfer.models import ResNet
from advtransfer.pickles import LEGACY_MAGIC

OWN = {"layers": [1, 1], "width": 0.03125, "stem": "cifar", "classes": 3, "resolution": 16}
OWN |= {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "threat": None, "origin": {"kind": "train"}}
ENTRY = {"kind": "file", **{key: OWN[key] for key in ("layers", "width", "stem", "classes", "resolution", "threat")}}
MANY = 2000 * TIMES

# What may be spliced into a program: every operation, with arguments where it has some.
OPERATIONS = [operation.code.encode("latin1") for operation in pickletools.opcodes]
OPERATIONS += [
    b"cos\nsystem\n",
    b"cbuiltins\nexec\n",
    b"(ios\nsystem\n",
    b"ctorch\nSize\n",
    b"ccollections\nOrderedDict\n",
]
OPERATIONS += [
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"X\x03\0\0\0abc",
    b"q\0",
    b"h\0",
    b"h\x01",
    b"\x8a\x05\xff\xff\xff\xff\x7f",
]
OPERATIONS += [
    b")R",
    b"K\x01\x85R",
    b"2\x86" * 60,
    b"\x85" * 2000,
    b"(" * 500,
    b"J\xff\xff\xff\xff",
    b"I9999999999999999999\n",
]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    network = ResNet(3, (1, 1), 0.03125, "cifar")
    network.initialise(torch.Generator().manual_seed(0))
    return network.state_dict()


def saved(content: object, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def robustness_style(state: dict[str, torch.Tensor]) -> dict:
    pair = {"new_mean": torch.full((3, 1, 1), 0.5), "new_std": torch.full((3, 1, 1), 0.25)}
    network = {f"module.{part}model.{name}": tensor for part in ("", "attacker.") for name, tensor in state.items()}
    return {"model": {**{f"module.normalizer.{key}": value for key, value in pair.items()}, **network}, "epoch": 7}


def splice(program: bytes, draw: random.Random) -> bytes:
    """Operations put between, in the place of, or taken out from those of a program."""
    places = [place for _, _, place in pickletools.genops(program)]
    pieces = [program[begin:end] for begin, end in zip(places, [*places[1:], len(program)], strict=True)]
    for _ in range(draw.choice([1, 1, 2, 8])):
        place = draw.randrange(len(pieces))
        way = draw.randrange(4)
        if way == 0:
            pieces.insert(place, draw.choice(OPERATIONS))
        elif way == 1:
            pieces[place] = draw.choice(OPERATIONS)
        elif way == 2:
            pieces.insert(place, draw.choice(pieces))
        elif len(pieces) > 1:
            del pieces[place]
    return b"".join(pieces)


def repacked(content: bytes, draw: random.Random) -> bytes:
    """A zip file whose program is spliced, with right checksums: the damage gets past zipfile."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            member = old.read(name)
            if name.endswith("data.pkl"):
                member = splice(member, draw) if draw.random() < 0.7 else damage(member, OPERATIONS, draw)
            elif draw.random() < 0.02:
                member = member[: draw.randrange(len(member) + 1)]
            new.writestr(name, member)
    return packed.getvalue()


def respliced(content: bytes, draw: random.Random) -> bytes:
    """A legacy file one of whose five programs is spliced."""
    file, ends = io.BytesIO(content), [0]
    for _ in range(5):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    which = draw.choice([0, 2, 3, 3, 3, 3, 4])
    begin, end = ends[which : which + 2]
    return content[:begin] + splice(content[begin:end], draw) + content[end:]


def redescribed(content: bytes, draw: random.Random) -> bytes:
    """A safetensors file whose header is damaged, with the right length before it."""
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length]
    words = [
        b"null",
        b"-1",
        b"1e999",
        b"[]",
        b"{}",
        b'"F8_E4M3"',
        b'"C64"',
        b'"I64"',
        b"9" * 30,
        b"[" * 500,
        b"\\u0000",
        b'"',
    ]
    for _ in range(draw.choice([1, 2])):
        if draw.random() < 0.5:
            header = damage(header, words, draw)
        else:
            old = draw.choice([b'"F32"', b"null", b"[", b"0.5", b"3", b"shape", b"cifar", b"16", b"__metadata__"])
            places = [place for place in range(len(header)) if header.startswith(old, place)] or [0]
            place = draw.choice(places)
            header = header[:place] + draw.choice(words) + header[place + len(old) :]
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.filterwarnings("ignore:Duplicate name", "ignore:invalid escape sequence")
def test_damaged_checkpoints_are_read_or_refused(
    tmp_path: Path, state: dict[str, torch.Tensor], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bits, cuts and parts of other files in whole files; and operations spliced into their programs, or words into headers."""
    draw = random.Random(f"{form} {TIMES}")
    path = tmp_path / f"c.{'safetensors' if form == 'safetensors' else 'pt'}"
    if form == "safetensors":
        save_tensors(path, state, OWN)
        whole = [path.read_bytes()]
        closer = redescribed
    else:
        whole = [saved(content, form == "zip") for content in (state, {"state_dict": state}, robustness_style(state))]
        closer = repacked if form == "zip" else respliced
    trace = tmp_path / "trace"
    parts = [*OPERATIONS, *whole, pickle.dumps(LEGACY_MAGIC, 2), f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()]

    def inputs():
        for content in whole:
            path.write_bytes(content)
            yield "undamaged", lambda: import_checkpoint(path, ENTRY, "mine")
        for index in range(MANY):
            content = draw.choice(whole)
            content = closer(content, draw) if draw.random() < 0.5 else damage(content, parts, draw)
            path.write_bytes(content)
            yield f"{form} {index}", lambda: import_checkpoint(path, ENTRY, "mine")

    outcomes = count_outcomes(f"checkpoints, {form}", inputs())
    assert outcomes["read"] >= len(whole)
    assert outcomes["refused"] > MANY / 4
    assert not trace.exists()
