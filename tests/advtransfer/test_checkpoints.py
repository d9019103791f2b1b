"""Checkpoints of every form that is read, and refusals that name file, finding and remedy."""

import hashlib
import pickle

import pytest
import torch

from advtransfer.artefacts import save_tensors
from advtransfer.checkpoints import import_checkpoint, read_state_dict
from advtransfer.errors import InputError
from advtransfer.models import ResNet, load_source

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


def test_a_file_that_would_run_code_does_not(tmp_path):
    class Trap:
        def __reduce__(self):
            return (eval, (f"open({str(tmp_path / 'trace')!r}, 'w').write('x')",))

    torch.save({"state_dict": {"w": torch.zeros(1)}, "extra": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(InputError, match=r"trap\.pt: not a checkpoint of tensors only .*Save its state dict"):
        read_state_dict(tmp_path / "trap.pt")
    assert not (tmp_path / "trace").exists()


def test_other_files_are_refused(tmp_path, state):
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match=r"text\.pt: not a checkpoint"):
        read_state_dict(tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="found list, not a state dict"):
        read_state_dict(tmp_path / "list.pt")
    torch.save(state, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"cut\.pt: not a checkpoint"):
        read_state_dict(tmp_path / "cut.pt")
    with pytest.raises(InputError, match=r"gone\.pt: no such file"):
        read_state_dict(tmp_path / "gone.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"a": object()}))
    with pytest.raises(InputError, match=r"pickle\.pt: not a checkpoint"):
        read_state_dict(tmp_path / "pickle.pt")


def test_the_wrong_architecture_is_named(tmp_path, state):
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"tensor 'conv1.weight' has shape \[4, 3, 7, 7\], the declared network needs"):
        import_checkpoint(tmp_path / "c.pt", {**ENTRY, "width": 0.125}, "mine")
    with pytest.raises(InputError, match=r"tensor 'fc.weight' has shape"):
        import_checkpoint(tmp_path / "c.pt", {**ENTRY, "classes": 10}, "mine")
