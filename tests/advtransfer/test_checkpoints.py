"""Checkpoints of every form that is read, and refusals that name file, finding and remedy."""

import functools
import hashlib
import io
import math
import os
import pickle
import re
import struct
import sys
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from advtransfer.artefacts import save_tensors
from advtransfer.checkpoints import architecture_of, import_checkpoint, read_checkpoint, read_state_dict
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, ResNet, load_source
from advtransfer.pickles import TorchFile

ENTRY = {"kind": "file", "threat": None, "width": 0.0625, "classes": 4, "resolution": 32}


@pytest.fixture
def state():
    torch.manual_seed(0)
    return ResNet(4, width=0.0625).state_dict()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
)
def test_torch_files(tmp_path, state, wrap):
    torch.save(wrap(state), tmp_path / "c.pt")
    found = read_state_dict(tmp_path / "c.pt")
    assert list(found) == list(state)
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_an_imported_checkpoint_is_a_source(tmp_path, state):
    torch.save(state, tmp_path / "c.pt")
    tensors, metadata = import_checkpoint(tmp_path / "c.pt", ENTRY, "mine")
    save_tensors(tmp_path / "mine.safetensors", tensors, metadata)
    model = load_source(tmp_path / "mine.safetensors")
    assert torch.equal(model.network.conv1.weight, state["conv1.weight"])
    assert metadata["resolution"] == 32
    assert metadata["origin"]["sha256"] == hashlib.sha256((tmp_path / "c.pt").read_bytes()).hexdigest()


def test_a_source_artefact_describes_itself_and_contradictions_are_errors(tmp_path, state):
    own = {"layers": [3, 4, 6, 3], "width": 0.0625, "stem": "imagenet", "classes": 4, "resolution": 32}
    own |= {"threat": {"norm": "l2", "epsilon": 0.5}, "origin": {"kind": "train"}}
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    save_tensors(tmp_path / "a.safetensors", half, own)
    entry = {"kind": "file", "threat": own["threat"]}
    tensors, metadata = import_checkpoint(tmp_path / "a.safetensors", entry, "mine")
    assert metadata["width"] == 0.0625
    assert metadata["origin"]["record"] == {"kind": "train"}
    assert tensors["conv1.weight"].dtype == torch.float32
    with pytest.raises(InputError, match=r"sources\.mine\.threat: found None, but .* says .*0\.5.*Correct"):
        import_checkpoint(tmp_path / "a.safetensors", {"kind": "file", "threat": None}, "mine")


def robustness_style(state, **extras):
    """What the `robustness` package saves: the network twice, two normalisers, and objects of many kinds."""
    network = {f"module.model.{name}": tensor for name, tensor in state.items()}
    attacker = {f"module.attacker.model.{name}": tensor for name, tensor in state.items()}
    pair = {"new_mean": torch.tensor(IMAGENET_MEAN).view(3, 1, 1), "new_std": torch.tensor(IMAGENET_STD).view(3, 1, 1)}
    normalisers = {
        f"module.{part}.{key}": value for part in ("normalizer", "attacker.normalize") for key, value in pair.items()
    }
    return {"model": {**normalisers, **network, **attacker}, "epoch": 7, **extras}


class Schedule:
    """An object of a class that only this test knows; it and the function in it are pickled by name."""

    def __init__(self):
        self.steps = {torch.zeros: functools.partial(math.pow, 2)}


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_the_robustness_package(tmp_path, state, zipped):
    content = robustness_style(state, optimizer={"state": [torch.ones(3)]}, schedule=Schedule(), size=torch.Size([2]))
    torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "c.pt")
    assert list(found.tensors) == list(state)
    assert all(torch.equal(found.tensors[name], state[name]) for name in state)
    assert (found.mean, found.std) == (list(IMAGENET_MEAN), list(IMAGENET_STD))
    # Salman et al.'s files: without DataParallel.
    content["model"] = {name.removeprefix("module."): tensor for name, tensor in content["model"].items()}
    torch.save(content, tmp_path / "d.ckpt", _use_new_zipfile_serialization=zipped)
    found = read_state_dict(tmp_path / "d.ckpt")
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_contradictions_within_a_file_are_errors(tmp_path, state):
    content = robustness_style(state)
    content["model"]["module.attacker.model.fc.bias"] = state["fc.bias"] + 1
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"c\.pt: tensor 'model\.fc\.bias' differs from the attacker's copy"):
        read_state_dict(tmp_path / "c.pt")
    content = robustness_style(state)
    content["model"]["module.attacker.normalize.new_std"] = torch.ones(3, 1, 1)
    torch.save(content, tmp_path / "d.pt")
    with pytest.raises(InputError, match=r"d\.pt: two normalisers with different 'new_std'"):
        read_state_dict(tmp_path / "d.pt")
    content = robustness_style(state)
    content["model"]["module.normalizer.new_std"] = torch.ones(4)
    torch.save(content, tmp_path / "e.pt")
    with pytest.raises(
        InputError, match=r"e\.pt: tensor 'normalizer\.new_std' has 4 values, one for each of 3 colours"
    ):
        read_state_dict(tmp_path / "e.pt")


def test_the_files_normaliser_is_the_sources(tmp_path, state):
    content = robustness_style(state)
    for part in ("normalizer", "attacker.normalize"):
        content["model"][f"module.{part}.new_mean"] = torch.full((3, 1, 1), 0.25)
    torch.save(content, tmp_path / "c.pt")
    assert import_checkpoint(tmp_path / "c.pt", ENTRY, "mine")[1]["mean"] == [0.25] * 3
    with pytest.raises(InputError, match=r"sources\.mine\.mean: found \[0\.5.* says \[0\.25"):
        import_checkpoint(tmp_path / "c.pt", {**ENTRY, "mean": [0.5, 0.5, 0.5]}, "mine")


def test_a_copy_of_the_same_storage_is_not_read_twice(tmp_path, state, monkeypatch):
    torch.save(robustness_style(state), tmp_path / "c.pt")
    reads = []
    read = TorchFile.read
    monkeypatch.setattr(TorchFile, "read", lambda self, stored: reads.append(stored) or read(self, stored))
    read_state_dict(tmp_path / "c.pt")
    assert len(reads) == len(state) + 4


@pytest.mark.parametrize("zipped", [True, False])
def test_views_and_precisions(tmp_path, zipped):
    base = torch.arange(24.0).view(4, 6)
    whole = {
        "view": base[1:3, ::2],
        "turned": base.t(),
        "part": base.flatten()[5:7],
        "half": base.half(),
        "bfloat": base.bfloat16(),
        "count": torch.tensor(3),
        "yes": torch.tensor([True, False]),
        "none": torch.zeros(0, 5),
        "parameter": torch.nn.Parameter(base[0]),
    }
    torch.save(whole, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
    found = read_state_dict(tmp_path / "c.pt")
    assert list(found) == list(whole)
    for name, tensor in whole.items():
        assert torch.equal(found[name], tensor.detach()), name
        assert found[name].dtype == tensor.dtype
        assert found[name].is_contiguous()


class Run:
    """Pickled as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def traps(trace):
    """Programs that would make a file named `trace`, by every way of calling that pickles have."""
    command = f"open({str(trace)!r}, 'w').write('x')"
    call = f"c__builtin__\nexec\n(S{command!r}\ntR.".encode()
    module = f"(S{command!r}\ni__builtin__\nexec\n.".encode()
    built = f"(c__builtin__\nexec\nS{command!r}\no.".encode()
    getattr_chain = (
        f"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'touch {trace}'\ntR.".encode()
    )
    dotted = b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__.__globals__\x93."
    new = b"\x80\x02cbuiltins\nexec\n(" + f"S{command!r}\n".encode() + b"t\x81."
    state = b"\x80\x02cos\nsystem\n)\x81}(U\x0c__setstate__cos\nsystem\nubS'touch " + str(trace).encode() + b"'\nb."
    return [call, module, built, getattr_chain, dotted, new, state]


@pytest.mark.parametrize("which", range(7))
def test_a_program_that_would_run_code_leaves_no_trace(tmp_path, which):
    trace = tmp_path / "trace"
    program = traps(trace)[which]
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    (tmp_path / "legacy.pt").write_bytes(head + program + pickle.dumps([], 2))
    (tmp_path / "bare.pt").write_bytes(program)
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("archive/data.pkl", program)
    for name in ("legacy.pt", "bare.pt", "zip.pt"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
            read_state_dict(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert not trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_read_past_what_would_run_code(tmp_path, state, zipped):
    trace = tmp_path / "trace"
    evil = Run(eval, f"open({str(trace)!r}, 'w').write('x')")
    content = {
        "state_dict": {**state, "evil": evil},
        "extra": [evil, {"deep": evil}],
        "system": Run(os.system, f"touch {trace}"),
    }
    torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped)
    found = read_state_dict(tmp_path / "c.pt")
    assert list(found) == list(state)
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert not trace.exists()


def test_no_module_that_a_file_names_is_imported(tmp_path, monkeypatch):
    (tmp_path / "trapmodule.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "c.pt").write_bytes(b"ctrapmodule\nThing\n.")
    with pytest.raises(InputError):
        read_state_dict(tmp_path / "c.pt")
    assert "trapmodule" not in sys.modules


def a_tensor(offset=0, shape=(2,), strides=(1,), numel=2, key="0", dtype="FloatStorage") -> bytes:
    """The program of {"w": tensor} with any claims about its storage."""
    block = io.BytesIO()  # any object to recognise

    class Stored(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", getattr(torch, dtype), key, "cpu", numel) if value is block else None

    class Rebuilt:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (block, offset, shape, strides, False, {})

    program = io.BytesIO()
    Stored(program, 2).dump({"w": Rebuilt()})
    return program.getvalue()


@pytest.mark.parametrize(
    ("claims", "finding"),
    [
        ({"offset": 1}, "element 2 of 2"),
        ({"offset": -1}, "tensor 'w' has a shape, strides or an offset that no tensor has"),
        ({"strides": (-1,)}, "tensor 'w' has a shape"),
        ({"strides": (10**15,)}, "of 2"),
        ({"shape": (10**12,), "strides": (0,)}, "1000000000000 elements out of 2"),
        ({"shape": (2, 1)}, "tensor 'w' has a shape"),
        ({"shape": ("2",)}, "tensor 'w' has a shape"),
        ({"shape": (0, 2**61, 2**61), "strides": (1, 1, 1)}, "tensor 'w' has a shape"),
        ({"shape": (1,) * 100, "strides": (1,) * 100}, "tensor 'w' has a shape"),
        ({"numel": 10**15, "shape": (10**15,)}, "storage 0 has 8 of 4000000000000000 bytes"),
        ({"numel": -1}, "storage '0' of an unknown type or size"),
        ({"key": "../../../etc/passwd"}, "storage ../../../etc/passwd is not readable"),
        ({"dtype": "Tensor"}, "of an unknown type or size"),
    ],
)
def test_false_claims_about_a_tensor_are_found_out(tmp_path, claims, finding):
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("archive/data.pkl", a_tensor(**claims))
        archive.writestr("archive/data/0", struct.pack("<2f", 1, 2))
    with pytest.raises(InputError, match=rf"c\.pt: .*{re.escape(finding)}"):
        read_state_dict(tmp_path / "c.pt")


def test_the_true_claims_of_that_tensor_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("archive/data.pkl", a_tensor())
        archive.writestr("archive/data/0", struct.pack("<2f", 1, 2))
    assert torch.equal(read_state_dict(tmp_path / "c.pt")["w"], torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "an empty file. Get it again"),
        (b"<!DOCTYPE html><html>gone</html>", "a web page, not the file. Download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        (b"hello", "not a file of torch.save, or a damaged one"),
        (pickle.dumps({"a": object()}), "not a file of torch.save, or a damaged one"),
    ],
)
def test_what_downloads_leave_behind_is_named(tmp_path, content, finding):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputError, match=rf"c\.pt: {finding}") as caught:
        read_state_dict(tmp_path / "c.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
def test_truncated_files_are_refused(tmp_path, state, zipped, kept):
    torch.save(state, tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match=r"cut\.pt: .*Get (it|the file) again"):
        read_state_dict(tmp_path / "cut.pt")


def test_a_flipped_byte_is_found(tmp_path, state):
    torch.save(state, tmp_path / "c.pt")
    content = bytearray((tmp_path / "c.pt").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"not readable .*CRC"):
        read_state_dict(tmp_path / "c.pt")


def test_files_without_a_state_dict_are_refused(tmp_path):
    for content, found in (
        ([1, 2], "no plain state dict"),
        ({"a": 1}, "no tensors"),
        (torch.ones(2), "no plain state dict"),
    ):
        torch.save(content, tmp_path / "c.pt")
        with pytest.raises(InputError, match=f"found {found}"):
            read_state_dict(tmp_path / "c.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(InputError, match=r"module\.pt: found no plain state dict.*Save the network's state dict"):
        read_state_dict(tmp_path / "module.pt")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"other\.pt: a zip archive without one data\.pkl"):
        read_state_dict(tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"gone\.pt: no such file"):
        read_state_dict(tmp_path / "gone.pt")


def test_damaged_weights_are_named(tmp_path, state):
    for change, message in (
        (lambda state: state["conv1.weight"].fill_(torch.nan), "'conv1.weight' holds NaN"),
        (lambda state: state.pop("layer4.2.bn3.bias"), "'layer4.2.bn3.bias' is missing"),
        (lambda state: state.update(extra=torch.ones(1)), "'extra' .* is unknown"),
    ):
        other = {name: tensor.clone() for name, tensor in state.items()}
        change(other)
        torch.save(other, tmp_path / "c.pt")
        with pytest.raises(InputError, match=rf"c\.pt: tensor {message}"):
            import_checkpoint(tmp_path / "c.pt", ENTRY, "mine")


def test_the_wrong_architecture_is_named(tmp_path, state):
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"tensor 'conv1.weight' has shape \[4, 3, 7, 7\], the declared network needs"):
        import_checkpoint(tmp_path / "c.pt", {**ENTRY, "width": 0.125}, "mine")
    with pytest.raises(InputError, match=r"tensor 'fc.weight' has shape"):
        import_checkpoint(tmp_path / "c.pt", {**ENTRY, "classes": 10}, "mine")


def test_a_counter_of_another_shape_is_named(tmp_path, state):
    torch.save({**state, "bn1.num_batches_tracked": torch.zeros(3, dtype=torch.int64)}, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"c\.pt: tensor 'bn1\.num_batches_tracked' has shape \[3\].*Remove it"):
        import_checkpoint(tmp_path / "c.pt", ENTRY, "mine")


def test_counters_may_be_absent_or_of_any_number_type(tmp_path, state):
    torch.save(
        {name: tensor.half() for name, tensor in state.items() if "layer1" not in name or "num" not in name},
        tmp_path / "c.pt",
    )
    tensors, metadata = import_checkpoint(tmp_path / "c.pt", ENTRY, "mine")
    save_tensors(tmp_path / "mine.safetensors", tensors, metadata)
    assert load_source(tmp_path / "mine.safetensors").network.layer1[0].bn1.num_batches_tracked == 0


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.complex64, torch.int8, torch.bool])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_weights_that_are_no_weights_are_named_with_their_type(tmp_path, state, dtype, ending):
    """Copied into a network, complex numbers would lose a part and quantised ones their scale, in silence."""
    path = tmp_path / f"c.{ending}"
    other = {**state, "fc.bias": torch.ones(4).to(dtype)}
    if ending == "pt":
        torch.save(other, path)
    else:
        save_tensors(path, other, {})
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError, match=rf"tensor 'fc\.bias' holds values of type {name}; weights are .* Convert"):
        import_checkpoint(path, ENTRY, "mine")


OWN = {"layers": [3, 4, 6, 3], "width": 0.0625, "stem": "imagenet", "classes": 4, "resolution": 32}
OWN |= {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "threat": None, "origin": {"kind": "train"}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layers", "3463"),
        ("layers", 16),
        ("layers", []),
        ("layers", [3, 4, 6, 3.5]),
        ("layers", [3, 4, 6, -3]),
        ("layers", [10**6, 1]),
        ("width", "wide"),
        ("width", None),
        ("width", -1),
        ("width", float("nan")),
        ("width", 1e9),
        ("width", 0.001),
        ("stem", 7),
        ("stem", ["cifar"]),
        ("classes", "4"),
        ("classes", 4.0),
        ("classes", 0),
        ("classes", True),
        ("classes", 10**30),
        ("resolution", {"height": 32}),
        ("resolution", 32.5),
        ("mean", 0.5),
        ("mean", [0.5]),
        ("mean", [0.5, 0.5, "0.5"]),
        ("mean", [10**400, 0, 0]),
        ("std", [0.25, 0, 0.25]),
        ("std", None),
        ("threat", "l2"),
        ("threat", {"norm": "l2"}),
        ("threat", {"norm": "l1", "epsilon": 1}),
        ("threat", {"norm": "l2", "epsilon": "3"}),
        ("origin", "here"),
        ("origin", {"measured": 3}),
        ("origin", {"measured": {"test_accuracy": 0.5}}),
    ],
)
def test_metadata_of_another_kind_is_named(tmp_path, state, key, value):
    save_tensors(tmp_path / "a.safetensors", state, {**OWN, key: value})
    finding = rf"a\.safetensors: its metadata says {key}: .*, which must be .*Get the file again, or save it"
    with pytest.raises(InputError, match=finding) as caught:
        import_checkpoint(tmp_path / "a.safetensors", {"kind": "file", "threat": None}, "mine")
    assert len(str(caught.value)) < len(str(tmp_path)) + 300
    if key != "origin":
        with pytest.raises(InputError, match=finding):
            architecture_of({"kind": "file", "path": str(tmp_path / "a.safetensors"), "threat": None})


def test_metadata_that_is_right_is_taken(tmp_path, state):
    save_tensors(tmp_path / "a.safetensors", state, OWN)
    tensors, metadata = import_checkpoint(tmp_path / "a.safetensors", {"kind": "file", "threat": None}, "mine")
    assert {key: metadata[key] for key in OWN if key != "origin"} == {key: OWN[key] for key in OWN if key != "origin"}
    assert metadata["origin"]["record"] == OWN["origin"]
    assert all(torch.equal(tensors[name], state[name]) for name in state)


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, '{"a":' * 100_000])
def test_metadata_that_no_reader_can_read_is_a_damaged_file(tmp_path, state, text):
    save_file(state, tmp_path / "a.safetensors", metadata={"layers": text})
    with pytest.raises(InputError, match=r"a\.safetensors: not a safetensors file, or a damaged one .*Get it again"):
        import_checkpoint(tmp_path / "a.safetensors", {"kind": "file", "threat": None}, "mine")


def test_a_network_of_any_size_takes_no_memory_before_it_fits(tmp_path, state):
    """Its weights alone would take 16 terabytes."""
    save_tensors(tmp_path / "a.safetensors", state, {**OWN, "width": 64, "layers": [9] * 8})
    with pytest.raises(InputError, match=r"tensor 'conv1.weight' has shape \[4, 3, 7, 7\], the declared network needs"):
        import_checkpoint(tmp_path / "a.safetensors", {"kind": "file", "threat": None}, "mine")


def test_weights_that_share_memory_are_saved(tmp_path, state):
    """Every scale of a new network is 1: a file may hold them once."""
    ones = {size: torch.ones(size) for size in (4, 8, 16, 32, 64, 128)}
    shared = {
        name: ones[len(tensor)] if name.endswith("weight") and tensor.ndim == 1 else tensor
        for name, tensor in state.items()
    }
    torch.save(shared, tmp_path / "c.pt")
    save_tensors(tmp_path / "mine.safetensors", *import_checkpoint(tmp_path / "c.pt", ENTRY, "mine"))
    assert torch.equal(load_source(tmp_path / "mine.safetensors").network.layer1[0].bn1.weight, torch.ones(4))
