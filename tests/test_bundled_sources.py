"""The bundled miniature sources: their records, their files and config.yaml tell the same story."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from advtransfer.artefacts import load_tensors
from advtransfer.config.resolve import resolve_source
from advtransfer.models import load_source

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "resources" / "sources"
NAMES = ["natural", "l2_0_25", "l2", "l2_1", "linf_small", "linf_large"]


@pytest.mark.parametrize("name", NAMES)
def test_record_file_and_configuration_agree(name):
    recipe = yaml.safe_load((FOLDER / "training.yaml").read_text())["sources"][f"cifar100_{name}"]
    entry = yaml.safe_load((PROJECT / "config.yaml").read_text())["sources"][f"mini_{name}"]
    record = json.loads((FOLDER / f"{name}.json").read_text())
    assert record["settings"] == resolve_source(recipe)
    assert resolve_source(entry)["threat"] == record["settings"]["threat"]

    logits = load_source(FOLDER / f"{name}.safetensors")(
        torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    )
    assert logits.shape == (2, 100)
    assert torch.isfinite(logits).all()
    tensors, metadata = load_tensors(FOLDER / f"{name}.safetensors")
    assert all(metadata[key] == record["settings"][key] for key in ["layers", "width", "stem", "resolution"])
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}


def test_adversarial_training_shows_in_the_records():
    """Each robust source withstands PGD far better than the natural one, and pays for it on clean images."""
    records = {name: json.loads((FOLDER / f"{name}.json").read_text())["measured"] for name in NAMES}
    for name in NAMES[1:]:
        assert records[name]["test_accuracy"] < records["natural"]["test_accuracy"]
        for mine, natural in zip(records[name]["robust_accuracy"], records["natural"]["robust_accuracy"], strict=True):
            assert (mine["norm"], mine["epsilon"]) == (natural["norm"], natural["epsilon"])
            assert mine["accuracy"] > natural["accuracy"]
