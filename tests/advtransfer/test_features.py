"""Features and logits of a fine-tuned network."""

from pathlib import Path

import torch
from torch import nn

from advtransfer.augmentation import to_unit
from advtransfer.features import read_out
from advtransfer.models import load_source

SOURCE = Path(__file__).resolve().parents[2] / "resources/sources/natural.safetensors"


def test_features_and_logits_are_what_the_network_computes():
    model = load_source(SOURCE)
    model.network.fc = nn.Linear(512, 4)
    images = torch.randint(0, 256, (70, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features, logits = read_out(model, images, 32, torch.device("cpu"))
    with torch.no_grad():
        whole = model.eval()(to_unit(images, 32))
    assert (features.shape, features.dtype, logits.dtype) == ((70, 512), torch.float32, torch.float64)
    assert torch.allclose(logits.float(), whole, rtol=1e-4, atol=1e-4)
