"""The fine-tuning engine against a plain loop written from the protocol, and its promises."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from advtransfer import activations, transfer
from advtransfer.activations import Views
from advtransfer.augmentation import augment, to_unit
from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, block_modules, load_source
from advtransfer.randomness import generator_for
from advtransfer.transfer import fine_tune_seeds, learning_rate_at

CPU = torch.device("cpu")
PROTOCOL = {
    "epochs": 3,
    "evaluated_epochs": [1, 3],
    "batch_size": 16,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_norm": "adapt",
    "head_init": "standard_normal",
    "augmentation": "none",
    "resolution": 32,
}


@pytest.fixture(scope="module")
def source():
    """A bundled network: an untrained one would turn rounding into other results."""
    return Path(__file__).resolve().parents[2] / "resources" / "sources" / "natural.safetensors"


@pytest.fixture(scope="module")
def dataset():
    generator = torch.Generator().manual_seed(0)

    def part(n):
        labels = torch.arange(n) % 3
        images = torch.randint(0, 200, (n, 1, 32, 32), generator=generator)
        return (images + 25 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels

    train_images, train_labels = part(60)
    test_images, test_labels = part(30)
    return Dataset(train_images, train_labels, test_images, test_labels, ["a", "b", "c"], {})


def run(source, dataset, blocks, seeds=(1,), images=40, **changes):
    subsets = {seed: torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:images] for seed in seeds}
    return list(fine_tune_seeds(source, dataset, subsets, blocks, {**PROTOCOL, **changes}, CPU))


def plain_loop(source, dataset, ids, blocks, protocol, seed):
    """Fine-tuning as the protocol states it, with torch's own modules, scheduler and defaults, nothing kept."""

    def read(images):
        unit = images.expand(-1, 3, -1, -1) / 255
        return (unit - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)

    network = load_source(source).network
    images, labels = read(dataset.train_images[ids]), dataset.train_labels[ids]
    if protocol["batch_norm"] == "target":
        # Layer by layer: the mean and the variance (of the population, as torch keeps it) of what arrives there.
        def estimate(layer, inputs, _):
            layer.running_mean = inputs[0].mean((0, 2, 3))
            layer.running_var = inputs[0].var((0, 2, 3), unbiased=True)

        layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        handles = [layer.register_forward_hook(estimate) for layer in layers]
        network.train()
        with torch.no_grad():
            network(images)
        for handle in handles:
            handle.remove()
    network.fc = nn.Linear(network.fc.in_features, 3)
    shape, bound = network.fc.weight.shape, network.fc.in_features**-0.5
    network.fc.weight.data = torch.empty(shape).uniform_(-bound, bound, generator=generator_for(seed, "head"))
    nn.init.zeros_(network.fc.bias)
    all_blocks = [*network.layer1, *network.layer2, *network.layer3, *network.layer4]
    trained = [*all_blocks[16 - blocks :], network.fc]
    frozen = [network.conv1, network.bn1, *all_blocks[: 16 - blocks]]
    for module in frozen:
        module.requires_grad_(False)
    optimiser = torch.optim.SGD(
        [p for module in trained for p in module.parameters()], protocol["learning_rate"], 0.9, weight_decay=5e-4
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, protocol["epochs"] // 3)
    order = generator_for(seed, "order")
    rows = []
    for epoch in range(1, protocol["epochs"] + 1):
        network.train()
        if protocol["batch_norm"] != "adapt":
            for module in frozen:
                module.eval()
        total, correct = 0.0, 0
        indices = torch.randperm(len(ids), generator=order)
        for start in range(0, len(ids), 16):
            batch = indices[start : start + 16]
            optimiser.zero_grad()
            logits = network(images[batch])
            loss = functional.cross_entropy(logits, labels[batch])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
            correct += (logits.argmax(1) == labels[batch]).sum().item()
        scheduler.step()
        if epoch in protocol["evaluated_epochs"]:
            network.eval()
            with torch.no_grad():
                logits = network(read(dataset.test_images))
            accuracy = (logits.argmax(1) == dataset.test_labels).float().mean().item()
            test_loss = functional.cross_entropy(logits, dataset.test_labels).item()
            rows.append((epoch, accuracy, correct / len(ids), test_loss, total / len(ids)))
    return rows


@pytest.mark.parametrize("batch_norm", ["adapt", "frozen", "target"])
@pytest.mark.parametrize("blocks", [0, 1, 3, 9])
def test_equals_a_plain_loop(source, dataset, blocks, batch_norm):
    """40 images in batches of 16: the last batch of 8 is kept. All but "adapt" go through kept activations."""
    changes = {"evaluated_epochs": [1, 2, 3], "learning_rate": 0.01, "head_init": "uniform"}
    protocol = {**PROTOCOL, **changes, "batch_norm": batch_norm}
    ids = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:40]
    ((_, _, rows),) = fine_tune_seeds(source, dataset, {1: ids}, blocks, protocol, CPU)
    expected = plain_loop(source, dataset, ids, blocks, protocol, 1)
    names = ("epoch", "test_accuracy", "train_accuracy", "test_loss", "train_loss")
    assert len(rows) == len(expected) == 3
    for row, values in zip(rows, expected, strict=True):
        assert [row[name] for name in names] == pytest.approx(list(values), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("batch_norm", ["frozen", "target"])
@pytest.mark.parametrize("blocks", [0, 3])
def test_kept_activations_change_nothing(source, dataset, blocks, batch_norm, monkeypatch):
    ((_, _, kept),) = run(source, dataset, blocks, batch_norm=batch_norm, learning_rate=0.01)
    monkeypatch.setattr(activations, "keeps_activations", lambda protocol: False)
    ((_, _, live),) = run(source, dataset, blocks, batch_norm=batch_norm, learning_rate=0.01)
    for one, other in zip(kept, live, strict=True):
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("blocks", [0, 3])
def test_activations_in_a_mapped_file_change_nothing(source, dataset, blocks, monkeypatch):
    log = []
    subsets = {1: torch.arange(40), 2: torch.arange(10, 50)}

    def rows():
        runs = fine_tune_seeds(source, dataset, subsets, blocks, {**PROTOCOL, "batch_norm": "frozen"}, CPU, log.append)
        return [[{**row, "seconds": 0} for row in rows] for _, _, rows in runs]

    in_memory = rows()
    assert not any("mapped" in line for line in log)
    # Room for the 30 test images; the training images of each seed go to a file.
    monkeypatch.setattr(activations, "CACHE_BYTES", 31 * 4 * (512 if blocks == 0 else 2 * 2 * 256))
    assert rows() == in_memory
    assert sum("mapped" in line for line in log) == 2


def test_what_fits_nowhere_is_computed_anew(source, dataset, monkeypatch):
    ((_, _, kept),) = run(source, dataset, 0, batch_norm="frozen", learning_rate=0.01)
    monkeypatch.setattr(activations, "CACHE_BYTES", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    ((_, _, live),) = run(source, dataset, 0, batch_norm="frozen", learning_rate=0.01)
    for one, other in zip(kept, live, strict=True):
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4, abs=1e-4)
    with pytest.raises(InputError, match=r"activations \(2 views of 40 images\) fit neither"):
        run(source, dataset, 0, batch_norm="frozen", augmentation="paper", views=2)


def test_fixed_views_are_what_the_whole_network_makes_of_them(source, dataset):
    """Each epoch sees one of the views of each image; against whole passes of the same augmented images."""
    model = load_source(source)
    protocol = {**PROTOCOL, "batch_norm": "frozen", "augmentation": "paper", "views": 3}
    kept = Views(model, 3, protocol).of(dataset.train_images, generator_for(1, "augmentation"))
    assert kept.tensor.shape == (180, 2, 2, 256)
    generator = generator_for(1, "augmentation")
    expected = [augment(to_unit(dataset.train_images, 32), "paper", generator) for _ in range(3)]
    with torch.no_grad():
        whole = torch.cat([model(images) for images in expected])
        assert torch.allclose(kept.logits(model, torch.arange(180), None), whole, rtol=1e-4, atol=1e-4)
    rows = kept.pick(torch.arange(60), generator)
    assert torch.equal(rows % 60, torch.arange(60))
    assert set((rows // 60).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("blocks", [0, 3])
@pytest.mark.parametrize("batch_norm", ["adapt", "frozen"])
def test_out_of_memory_halves_batches_outside_of_training_and_changes_nothing(
    source, dataset, blocks, batch_norm, monkeypatch
):
    ((_, _, expected),) = run(source, dataset, blocks, batch_norm=batch_norm, learning_rate=0.01, head_init="uniform")
    real, log = activations.pass_frozen, []

    def cramped(model, blocks, images):
        if len(images) > 16:  # training batches fit
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, blocks, images)

    monkeypatch.setattr(activations, "pass_frozen", cramped)
    protocol = {**PROTOCOL, "batch_norm": batch_norm, "learning_rate": 0.01, "head_init": "uniform"}
    ids = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:40]
    ((_, _, rows),) = fine_tune_seeds(source, dataset, {1: ids}, blocks, protocol, CPU, log.append)
    assert any("out of memory: batches of 15 images" in line for line in log)
    for one, other in zip(rows, expected, strict=True):
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4, abs=1e-4)


def test_out_of_memory_at_a_training_batch_is_passed_on(source, dataset, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(activations, "pass_frozen", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(source, dataset, 3)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
def test_convolutions_as_matrix_products(kernel, stride, size):
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(6, 5, kernel, stride=stride, padding=kernel // 2, bias=False).double()
    x = torch.randn(3, 6, size, size, dtype=torch.float64, generator=generator, requires_grad=True)
    out, expected = activations.convolve(conv, x), conv(x)
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
    assert torch.allclose(out, expected)
    for one, other in zip(
        torch.autograd.grad((out * weights).sum(), [x, conv.weight]),
        torch.autograd.grad((expected * weights).sum(), [x, conv.weight]),
        strict=True,
    ):
        assert torch.allclose(one, other)


def test_bf16_is_close_and_not_the_same(source, dataset):
    # One epoch at a small rate: later ones would multiply the rounding, which differs between processors.
    changes = {"batch_norm": "frozen", "learning_rate": 1e-3, "epochs": 1, "evaluated_epochs": [1]}
    ((_, _, exact),) = run(source, dataset, 3, **changes)
    ((_, model, rounded),) = run(source, dataset, 3, precision="bf16", **changes)
    assert model.network.fc.weight.dtype == torch.float32
    for name in ("train_loss", "test_loss"):
        assert 0 < abs(rounded[-1][name] - exact[-1][name]) < 0.15 * exact[-1][name]


@pytest.mark.parametrize("blocks", [0, 1, 3, 9])
@pytest.mark.parametrize("batch_norm", ["adapt", "frozen"])
def test_what_is_frozen_stays_bit_identical_and_the_rest_moves(source, dataset, blocks, batch_norm):
    ((_, model, _),) = run(source, dataset, blocks, batch_norm=batch_norm)
    before, after = load_source(source).network, model.network
    trained = set(block_modules(after)[16 - blocks :])
    trained_names = {f"{name}." for name, module in after.named_modules() if module in trained} | {"fc."}
    old, new = before.state_dict(), after.state_dict()
    for name, tensor in new.items():
        if name.startswith(tuple(trained_names)):
            if not name.startswith("fc."):
                assert not torch.equal(old[name], tensor), name
        elif "running" in name or "num_batches" in name:
            # Statistics of frozen layers drift to the target, unless batch norm is frozen too.
            assert torch.equal(old[name], tensor) == (batch_norm == "frozen"), name
        else:
            assert torch.equal(old[name], tensor), name


@pytest.mark.parametrize("blocks", [0, 1])
@pytest.mark.parametrize(
    "way",
    [
        {"batch_norm": "adapt", "augmentation": "paper"},
        {"batch_norm": "frozen"},
        {"batch_norm": "target"},
        {"batch_norm": "frozen", "augmentation": "paper", "views": 2},
    ],
)
def test_a_seed_gives_the_same_bits_alone_and_among_others(source, dataset, way, blocks):
    def bits(runs, seed):
        return next(
            ([{**row, "seconds": 0} for row in rows], model.network.fc.weight) for s, model, rows in runs if s == seed
        )

    rows, weight = bits(run(source, dataset, blocks, seeds=(5, 6, 7), **way), 6)
    again_rows, again_weight = bits(run(source, dataset, blocks, seeds=(6,), **way), 6)
    assert rows == again_rows
    assert torch.equal(weight, again_weight)
    other_rows, _ = bits(run(source, dataset, blocks, seeds=(7,), **way), 7)
    assert rows != other_rows


def test_learning_rate_has_the_authors_third_drop():
    """StepLR(33) over 100 epochs: 0.1 until epoch 33, 0.01 until 66, 0.001 until 99, then 0.0001 for one epoch."""
    rates = [learning_rate_at(epoch, 100, 0.1) for epoch in (1, 33, 34, 66, 67, 99, 100)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001])


def test_the_new_head(source):
    model = load_source(source)
    transfer.new_head(model, 50, 0, "standard_normal", seed=3)
    assert float(model.network.fc.weight.detach().std()) == pytest.approx(1, abs=0.02)
    assert not model.network.fc.bias.any()
    transfer.new_head(model, 50, 0, "uniform", seed=3)
    assert float(model.network.fc.weight.detach().abs().max()) <= 512**-0.5


def test_divergence_is_an_error_that_names_the_run(source, dataset):
    with pytest.raises(FloatingPointError, match="seed 1 diverged in epoch"):
        run(source, dataset, 3, learning_rate=1e12)


def test_a_last_batch_of_one_image_is_refused(source, dataset):
    with pytest.raises(InputError, match="33 images in batches of 16: the last batch holds one image"):
        run(source, dataset, 3, images=33)
