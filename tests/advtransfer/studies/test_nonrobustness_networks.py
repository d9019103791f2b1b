"""Networks of several seeds in one file: each is the network that it would be alone."""

from pathlib import Path

import pytest
import torch

from advtransfer.artefacts import PROVENANCE
from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.models import load_source
from advtransfer.studies.nonrobustness_networks import load_one, save_networks, tensors_of
from advtransfer.transfer import fine_tune_seeds

SEEDS = [3, 20_000_000]
PROTOCOL = {
    "epochs": 1,
    "evaluated_epochs": [1],
    "batch_size": 8,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_norm": "target",
    "head_init": "uniform",
    "augmentation": "none",
    "resolution": 32,
}


@pytest.fixture(scope="module")
def source():
    return Path(__file__).resolve().parents[3] / "resources" / "sources" / "natural.safetensors"


def fine_tuned(source, seeds):
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randint(0, 256, (8, 3, 32, 32), generator=generator).to(torch.uint8), torch.arange(8) % 2
    dataset = Dataset(images, labels, images[:2], labels[:2], ["a", "b"], {})
    return fine_tune_seeds(source, dataset, {seed: torch.arange(8) for seed in seeds}, 1, PROTOCOL, torch.device("cpu"))


def test_each_is_what_it_would_be_alone(source, tmp_path):
    tensors = {}
    for seed, model, _ in fine_tuned(source, SEEDS):
        tensors |= tensors_of(seed, model)
    file = tmp_path / "networks.safetensors"
    save_networks(file, tensors, 2, source, {"seeds": SEEDS, PROVENANCE: {}})
    for seed in SEEDS:
        ((_, alone, _),) = fine_tuned(source, [seed])
        read, expected = load_one(file, seed), alone.network.state_dict()
        assert not read.training
        assert read.network.fc.out_features == 2
        assert torch.equal(read.mean, alone.mean)
        assert list(read.network.state_dict()) == list(expected)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in read.network.state_dict().items())
    weights = [load_one(file, seed).network.fc.weight for seed in SEEDS]
    assert not torch.equal(*weights)
    with pytest.raises(InputError, match="holds no network of seed 4"):
        load_one(file, 4)


def test_copies_do_not_change_with_the_network(source):
    model = load_source(source)
    kept, before = tensors_of(5, model), model.network.fc.bias.detach().clone()
    with torch.no_grad():
        model.network.fc.bias.add_(1)
    assert torch.equal(kept["5.fc.bias"], before)


def test_a_file_of_one_network_gives_that_one(source):
    read, expected = load_one(source, 7).network.state_dict(), load_source(source).network.state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
