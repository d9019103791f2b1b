"""Features and logits of a fine-tuned network, and its artefact."""

from pathlib import Path

import torch
from torch import nn

from advtransfer.artefacts import load_tensors
from advtransfer.augmentation import to_unit
from advtransfer.features import read_out, save_model
from advtransfer.models import load_source

SOURCE = Path(__file__).resolve().parents[2] / "resources/sources/natural.safetensors"


def test_a_saved_network_is_read_as_a_source_and_reads_out_what_it_computes(tmp_path):
    model = load_source(SOURCE)
    model.network.fc = nn.Linear(512, 4)
    save_model(tmp_path / "model.safetensors", model, SOURCE, {"blocks": 3, "class_names": list("abcd")})
    again = load_source(tmp_path / "model.safetensors")
    facts = load_tensors(tmp_path / "model.safetensors", [])[1]
    assert (facts["classes"], facts["blocks"], facts["resolution"]) == (4, 3, 32)
    images = torch.randint(0, 256, (70, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features, logits = read_out(again, images, 32, torch.device("cpu"))
    with torch.no_grad():
        whole = model.eval()(to_unit(images, 32))
    assert (features.shape, features.dtype, logits.dtype) == ((70, 512), torch.float32, torch.float64)
    assert torch.allclose(logits.float(), whole, rtol=1e-4, atol=1e-4)
