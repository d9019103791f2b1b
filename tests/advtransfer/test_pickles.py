"""Programs made to exhaust or to crash whoever runs them: refused, or read past, in little time and memory."""

import io
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from advtransfer import pickles
from advtransfer.checkpoints import read_state_dict
from advtransfer.errors import InputError
from advtransfer.pickles import TorchFile

SCRIPTS = Path(__file__).parents[2] / "scripts"
HEAD = b"".join(pickle.dumps(value, 2) for value in (pickles.LEGACY_MAGIC, 1001, {}))
DOUBLED = b")" + b"2\x86" * 200


def write(path: Path, program: bytes, zipped: bool) -> Path:
    """A file of torch.save with any program."""
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
    else:
        path.write_bytes(HEAD + program + pickle.dumps([], 2))
    return path


def refusals(paths: list[Path]) -> list[str]:
    """The one line for each file that a reader in a process of its own ends with; no crash, and no endless run."""
    code = (
        "import sys\nfrom advtransfer.checkpoints import read_state_dict\nfrom advtransfer.errors import InputError\n"
        "for path in sys.argv[1:]:\n    try:\n        read_state_dict(path)\n"
        "    except InputError as error:\n        print(error, flush=True)\n"
    )
    command = [sys.executable, "-c", code, *map(str, paths)]
    done = subprocess.run(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True, check=False, timeout=600)
    lines = done.stdout.splitlines()
    # The first file that no line is about is the one that crashed the reader.
    assert [line.partition(": ")[0] for line in lines] == list(map(str, paths))
    assert done.returncode == 0
    assert all(len(line) < len(str(path)) + 300 for line, path in zip(lines, paths, strict=True))
    return lines


def test_values_that_double_do_not_run_for_ever(tmp_path):
    """A tuple that holds the one before it twice, 200 times, takes 2^200 steps to hash, to compare or to show."""
    findings = {
        b"}" + DOUBLED + b"Ns.": "found no tensors",
        b"](" + DOUBLED + b"\x90.": "found no plain state dict",
        b"(U\x07storagectorch\nFloatStorage\n" + DOUBLED + b"U\x03cpuK\x01tQ.": "storage tuple of an unknown type",
        b"(U\x07storage" + DOUBLED + b"U\x010U\x03cpuK\x01tQ.": "storage '0' of an unknown type",
        b"\x8c\x07storage" + DOUBLED + b"\x93.": "found no plain state dict",
        b"ccollections\nOrderedDict\n(](" + DOUBLED + b"K\x01\x86etR.": "found no tensors",
    }
    paths = [
        write(tmp_path / f"{index}_{zipped}.pt", program, zipped)
        for index, program in enumerate(findings)
        for zipped in (True, False)
    ]
    for line, index in zip(refusals(paths), range(2 * len(findings)), strict=True):
        assert list(findings.values())[index // 2] in line


def test_values_within_values_do_not_crash_the_interpreter(tmp_path):
    programs = {
        "tuples": b"\x80\x02})" + b"\x85" * 900_000 + b"K\x01s.",
        "lists": b"\x80\x02" + b"]" * 450_000 + b"a" * 449_999 + b".",
        "dicts": b"\x80\x02" + b"}U\x01a" * 300_000 + b"}" + b"s" * 300_000 + b".",
        "INST": b"(" * 400_000 + b")" + b"itorch\nSize\n" * 400_000 + b".",
        "OBJ": b"(ctorch\nSize\n" * 300_000 + b")" + b"o" * 300_000 + b".",
        "calls": b"(ccollections\nOrderedDict\n" * 300_000 + b"]" + b"o" * 300_000 + b".",
        "marks": b"(" * 900_000 + b".",
    }
    refusals([write(tmp_path / f"{what}.pt", program, True) for what, program in programs.items()])


def test_programs_without_end_are_refused(tmp_path):
    # A list of five million entries; and one list that every call copies into a dict.
    long = b"(l" + b"Na" * 5_000_000 + b"."
    again = b"ccollections\nOrderedDict\nq\x00(](" + b"N" * 100_000 + b"etq\x01" + b"0h\x00h\x01R" * 100_000 + b"."
    paths = [write(tmp_path / f"{name}.pt", program, True) for name, program in (("long", long), ("again", again))]
    assert all("more than 1000000 operations, a checkpoint has fewer" in line for line in refusals(paths))


def test_arguments_are_few_and_names_are_short(tmp_path):
    # A call with the same 100,000 arguments and an entry under the same two equal texts, each time and again.
    calls = b"ctorch._utils\n_rebuild_parameter\nq\x00(" + b"N" * 100_000 + b"tq\x01" + b"0h\x00h\x01R" * 200_000 + b"."
    text = b"X" + (2**20).to_bytes(4, "little") + b"a" * 2**20
    keys = b"}" + text + b"q\x00" + text + b"q\x01" + b"00" + b"h\x00Nsh\x01Ns" * 120_000 + b"."
    lines = refusals([write(tmp_path / "calls.pt", calls, True), write(tmp_path / "keys.pt", keys, True)])
    assert "found no plain state dict" in lines[0]
    assert "found no tensors" in lines[1]


def test_a_program_that_claims_more_bytes_than_there_are(tmp_path):
    for claim in (b"\x8e" + b"\xff" * 7 + b"\x00", b"\x8b\xff\xff\xff\x7f", b"B\xff\xff\xff\xff"):
        for zipped in (True, False):
            with pytest.raises(InputError, match=r"c\.pt: not a file of torch\.save, or a damaged one"):
                read_state_dict(write(tmp_path / "c.pt", claim, zipped))


def test_messages_are_one_short_line_whatever_the_names(tmp_path):
    torch.save({"first\nsecond" + "x" * 500: torch.ones(2)}, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"c\.pt: 'first\\nsecondx+' is no name of a tensor") as caught:
        read_state_dict(tmp_path / "c.pt")
    assert len(str(caught.value)) < len(str(tmp_path)) + 200


def test_a_storage_is_read_once_whatever_its_names(tmp_path, monkeypatch):
    tensor = torch.arange(1000.0)
    torch.save({f"name{index}": tensor for index in range(300)}, tmp_path / "c.pt")
    reads = []
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda self, name: reads.append(name) or read(self, name))
    found = read_state_dict(tmp_path / "c.pt")
    assert len(found) == 300
    assert all(torch.equal(each, tensor) for each in found.values())
    assert len({each.data_ptr() for each in found.values()}) == 1
    assert sum("data/0" in getattr(entry, "filename", "") for entry in reads) == 1


def test_parts_of_a_storage_are_read_and_overlaps_without_end_are_refused(tmp_path):
    flat = torch.arange(50_000.0)
    parts = {f"part{index}": flat[1000 * index : 1000 * (index + 1)] for index in range(50)}
    torch.save(parts, tmp_path / "parts.pt")
    assert all(torch.equal(parts[name], found) for name, found in read_state_dict(tmp_path / "parts.pt").items())
    torch.save({f"name{index}": flat[index:] for index in range(300)}, tmp_path / "overlap.pt")
    with pytest.raises(InputError, match=r"overlap\.pt: its tensors overlap without end\. Save"):
        read_state_dict(tmp_path / "overlap.pt")


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("packed", ["data.pkl", "byteorder", "data/0"])
def test_packed_members_are_refused_before_they_are_unpacked(tmp_path, packed, packing):
    """A thousand bytes and more come out of one: a file of megabytes would run for minutes, or fill the memory."""
    torch.save({"w": torch.zeros(1000)}, tmp_path / "c.pt")
    with zipfile.ZipFile(tmp_path / "c.pt") as old, zipfile.ZipFile(tmp_path / "d.pt", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name), packing if name == f"c/{packed}" else zipfile.ZIP_STORED)
    with pytest.raises(
        InputError, match=rf"d\.pt: its {packed} is packed, which torch\.save does not do\. Save it again"
    ):
        read_state_dict(tmp_path / "d.pt")


def test_a_member_with_two_headers_that_disagree_is_named(tmp_path):
    torch.save({"w": torch.zeros(4)}, tmp_path / "c.pt")
    content = (tmp_path / "c.pt").read_bytes()
    for other in (b"c/data/1", b"c/data/\xff"):
        # The first header is the member's own, the second stands in the archive's list.
        (tmp_path / "d.pt").write_bytes(content.replace(b"c/data/0", other, 1))
        with pytest.raises(InputError, match=r"d\.pt: storage 0 is not readable .*Get the file again") as caught:
            read_state_dict(tmp_path / "d.pt")
        assert "\n" not in str(caught.value)


def test_two_members_of_the_same_name_are_refused(tmp_path):
    torch.save({"w": torch.zeros(4)}, tmp_path / "c.pt")
    with zipfile.ZipFile(tmp_path / "c.pt", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("c/data/0", b"\0" * 16)
    with pytest.raises(InputError, match=r"c\.pt: a zip archive with two members of the same name"):
        read_state_dict(tmp_path / "c.pt")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda: torch.ones(2).to(torch.float8_e4m3fn), "holds values of type float8_e4m3fn; weights are .*Convert"),
        (lambda: torch.ones(2, dtype=torch.uint16), "holds values of type uint16; weights are .*Convert"),
        (lambda: torch.ones(2, dtype=torch.complex64), "holds values of type complex64; weights are .*Convert"),
        (lambda: torch.ones(2, dtype=torch.complex64).conj().imag, r"is a negated view .*Save a copy"),
        (lambda: torch.ones(2, 2).to_sparse(), r"is sparse\. Save it with to_dense"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), r"is quantised\. Save the network as"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_tensors_that_are_no_weights_are_named_with_their_kind(tmp_path, make, finding, zipped):
    torch.save({"fine": torch.ones(1), "w": make()}, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=rf"c\.pt: tensor 'w' {finding}"):
        read_state_dict(tmp_path / "c.pt")
    # Elsewhere in the file they matter to nobody.
    content = {"state_dict": {"fine": torch.ones(1)}, "other": make()}
    torch.save(content, tmp_path / "d.pt", _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_state_dict(tmp_path / "d.pt")["fine"], torch.ones(1))


def test_only_texts_are_keys(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(1), 3: torch.ones(1), (1, 2): 3}, 7: 8, None: 1}, tmp_path / "c.pt")
    assert list(TorchFile(tmp_path / "c.pt").content) == ["state_dict"]
    assert list(read_state_dict(tmp_path / "c.pt")) == ["w"]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_what_pickle_makes_of_them(protocol):
    value = {
        "numbers": [0, 1, -1, 255, 65535, 2**31, -(2**40), 2**100, 0.5, float("inf"), True, False, None],
        "texts": ["", "a", "ä", "x" * 300],
        "containers": [[], [1], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}, {"a": 1}, {"a": {"b": [(), {}]}}],
    }
    if protocol > 2:
        value["bytes"] = [b"", b"bytes", b"\xff" * 300]
    value["again"] = [value["numbers"], value["numbers"]]
    found = pickles._run(io.BytesIO(pickle.dumps(value, protocol)), pickles._storage)
    assert found == value
    assert found["again"][0] is found["again"][1]
