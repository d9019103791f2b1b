"""Checkpoints of the `robustness` package itself, which is not among this project's dependencies."""

import pytest
import torch

from advtransfer.artefacts import save_tensors
from advtransfer.checkpoints import import_checkpoint
from advtransfer.models import load_source


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_the_network_answers_as_in_the_package(request, tmp_path, form):
    folder = request.config.getoption("--robustness-package")
    if folder is None:
        pytest.skip(
            "needs files that write_robustness_checkpoint.py makes: give their folder with --robustness-package=FOLDER"
        )
    expected = torch.load(folder / "expected.pt", weights_only=True)
    tensors, metadata = import_checkpoint(folder / f"{form}.pt", {"kind": "file", "threat": None}, "theirs")
    save_tensors(tmp_path / "theirs.safetensors", tensors, metadata)
    with torch.no_grad():
        logits = load_source(tmp_path / "theirs.safetensors")(expected["images"])
    torch.testing.assert_close(logits, expected["logits"], rtol=0, atol=1e-5)
