"""The fine-tuning engine against a plain loop written from the protocol, and its promises."""

import copy
import re
from functools import partial
from modulefinder import ModuleFinder
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from advtransfer import activations, transfer
from advtransfer.activations import ActivationCache
from advtransfer.augmentation import augment, to_unit
from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, load_source
from advtransfer.provenance import SCRIPTS
from advtransfer.randomness import generator_for
from advtransfer.transfer import OneNetwork, fine_tune_seeds, learning_rate_at

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
NAMES = ("epoch", "test_accuracy", "train_accuracy", "test_loss", "train_loss")


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


def plain_loop(source, dataset, ids, blocks, protocol, seed, pull=0.0):
    """Fine-tuning as the protocol states it, with torch's own modules, scheduler and defaults, nothing cached.

    pull: times half the squared distance of all trained parameters from where they start is added to the loss.
    """

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
    parameters = [p for module in trained for p in module.parameters()]
    starts = [p.detach().clone() for p in parameters]
    optimiser = torch.optim.SGD(parameters, protocol["learning_rate"], 0.9, weight_decay=5e-4)
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
            if pull:
                loss = loss + pull / 2 * sum(
                    (p - start).square().sum() for p, start in zip(parameters, starts, strict=True)
                )
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
    """40 images in batches of 16: the last batch of 8 is trained on. All but "adapt" go through the activation cache."""
    changes = {"evaluated_epochs": [1, 2, 3], "learning_rate": 0.01, "head_init": "uniform"}
    protocol = {**PROTOCOL, **changes, "batch_norm": batch_norm}
    ids = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:40]
    ((_, _, rows),) = fine_tune_seeds(source, dataset, {1: ids}, blocks, protocol, CPU)
    expected = plain_loop(source, dataset, ids, blocks, protocol, 1)
    assert len(rows) == len(expected) == 3
    for row, values in zip(rows, expected, strict=True):
        assert [row[name] for name in NAMES] == pytest.approx(list(values), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("batch_norm", ["frozen", "target"])
@pytest.mark.parametrize("blocks", [0, 3])
def test_the_activation_cache_changes_nothing(source, dataset, blocks, batch_norm, monkeypatch):
    ((_, _, cached),) = run(source, dataset, blocks, batch_norm=batch_norm, learning_rate=0.01)
    monkeypatch.setattr(activations, "caches_activations", lambda protocol: False)
    ((_, _, live),) = run(source, dataset, blocks, batch_norm=batch_norm, learning_rate=0.01)
    for one, other in zip(cached, live, strict=True):
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("blocks", [0, 3])
def test_activations_in_a_mapped_file_change_nothing(source, dataset, blocks, monkeypatch, caplog):
    caplog.set_level("INFO")
    subsets = {1: torch.arange(40), 2: torch.arange(10, 50)}

    def rows():
        runs = fine_tune_seeds(source, dataset, subsets, blocks, {**PROTOCOL, "batch_norm": "frozen"}, CPU)
        return [[{**row, "seconds": 0} for row in rows] for _, _, rows in runs]

    in_memory = rows()
    assert not any("mapped" in line for line in caplog.messages)
    # Room for the 30 test images; the training images of each seed go to a file.
    bytes_per_image = 4 * (512 if blocks == 0 else 2 * 2 * 256)
    monkeypatch.setattr(activations, "CACHE_BYTES", 31 * bytes_per_image)
    assert rows() == in_memory
    assert sum("mapped" in line for line in caplog.messages) == 2
    # Room for the 40 training images of one seed as well: with trained blocks, those of the first make room for the second's.
    caplog.clear()
    monkeypatch.setattr(activations, "CACHE_BYTES", 70 * bytes_per_image)
    assert rows() == in_memory
    assert sum("mapped" in line for line in caplog.messages) == (1 if blocks == 0 else 0)


def test_what_fits_nowhere_is_computed_anew(source, dataset, monkeypatch):
    ((_, _, cached),) = run(source, dataset, 0, batch_norm="frozen", learning_rate=0.01)
    monkeypatch.setattr(activations, "CACHE_BYTES", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    ((_, _, live),) = run(source, dataset, 0, batch_norm="frozen", learning_rate=0.01)
    for one, other in zip(cached, live, strict=True):
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4, abs=1e-4)
    with pytest.raises(InputError, match=r"cache of 2 views of 40 images: [\d.]+ GiB fit neither"):
        run(source, dataset, 0, batch_norm="frozen", augmentation="paper", views=2)


def test_fixed_views_are_what_the_whole_network_makes_of_them(source, dataset):
    """Each epoch sees one of the views of each image; against whole passes of the same augmented images."""
    model = load_source(source)
    protocol = {**PROTOCOL, "batch_norm": "frozen", "augmentation": "paper", "views": 3}
    inputs = ActivationCache(model, 3, protocol).inputs(dataset.train_images, generator_for(1, "augmentation"))
    assert inputs.tensor.shape == (180, 2, 2, 256)
    generator = generator_for(1, "augmentation")
    expected = [augment(to_unit(dataset.train_images, 32), "paper", generator) for _ in range(3)]
    with torch.no_grad():
        whole = torch.cat([model(images) for images in expected])
        assert torch.allclose(inputs.logits(model, torch.arange(180), None), whole, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="cached activations"):
        inputs.images(torch.arange(3), None)
    rows = inputs.pick(torch.arange(60), generator)
    assert torch.equal(rows % 60, torch.arange(60))
    assert set((rows // 60).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("blocks", [0, 3])
@pytest.mark.parametrize("batch_norm", ["adapt", "frozen"])
def test_out_of_memory_halves_batches_outside_of_training_and_changes_nothing(
    source, dataset, blocks, batch_norm, monkeypatch, caplog
):
    ((_, _, expected),) = run(source, dataset, blocks, batch_norm=batch_norm, learning_rate=0.01, head_init="uniform")
    real = activations.pass_frozen

    def cramped(model, blocks, images):
        if len(images) > 16:  # training batches fit
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, blocks, images)

    monkeypatch.setattr(activations, "pass_frozen", cramped)
    protocol = {**PROTOCOL, "batch_norm": batch_norm, "learning_rate": 0.01, "head_init": "uniform"}
    ids = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:40]
    ((_, _, rows),) = fine_tune_seeds(source, dataset, {1: ids}, blocks, protocol, CPU)
    assert any("out of memory: batches of 15 images" in line for line in caplog.messages)
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
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
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


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("size", [1, 2])
def test_batch_norm_as_of_a_matrix(size, momentum, training):
    generator = torch.Generator().manual_seed(0)
    plain = nn.BatchNorm2d(5, momentum=momentum).double().train(training)
    other = copy.deepcopy(plain)
    for _ in range(2):  # running statistics too
        x = torch.randn(7, 5, size, size, dtype=torch.float64, generator=generator, requires_grad=True)
        expected, out = plain(x), activations.normalise(other, x)
        assert torch.allclose(out, expected)
        assert torch.allclose(*(torch.autograd.grad((y**3).sum(), x)[0] for y in (out, expected)))
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(other.state_dict()[name], tensor), name


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
    trained = set(after.blocks()[16 - blocks :])
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


class PulledBack(OneNetwork):
    """Cross-entropy and a pull of all trained parameters to where they start (L2-SP, Li et al. 2018)."""

    def __init__(self, run, blocks, batch_norm, strength):
        super().__init__(run, blocks, batch_norm)
        self.strength = strength
        self.starts = [parameter.detach().clone() for parameter in self.parameters]

    def training_losses(self, rows, labels):
        """The pull is the same for every batch."""
        losses, logits = super().training_losses(rows, labels)
        distances = ((p - start).square().sum() for p, start in zip(self.parameters, self.starts, strict=True))
        return losses + self.strength / 2 * sum(distances), logits


@pytest.mark.parametrize(("blocks", "batch_norm"), [(0, "frozen"), (1, "adapt"), (3, "frozen")])
def test_a_learner_adds_a_term_to_the_loss(source, dataset, blocks, batch_norm):
    """Against the plain loop with the same term; and the term matters."""
    changes = {"evaluated_epochs": [1, 2, 3], "learning_rate": 0.01, "head_init": "uniform", "batch_norm": batch_norm}
    protocol = {**PROTOCOL, **changes}
    ids = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:40]
    learner = partial(PulledBack, strength=20.0)
    ((_, _, rows),) = fine_tune_seeds(source, dataset, {1: ids}, blocks, protocol, CPU, learner)
    expected = plain_loop(source, dataset, ids, blocks, protocol, 1, pull=20.0)
    for row, values in zip(rows, expected, strict=True):
        assert [row[name] for name in NAMES] == pytest.approx(list(values), rel=1e-4, abs=1e-4)
    # What pulls the weights back keeps them from fitting as well.
    plain = plain_loop(source, dataset, ids, blocks, protocol, 1)
    assert rows[-1]["train_loss"] > plain[-1][-1] + 0.02


@pytest.mark.parametrize(("blocks", "batch_norm"), [(0, "frozen"), (0, "adapt"), (1, "adapt"), (3, "frozen")])
def test_a_term_times_0_is_plain_fine_tuning(source, dataset, blocks, batch_norm):
    """To the bit, but for heads on cached features, which the plain learner trains in another product."""
    protocol = {**PROTOCOL, "learning_rate": 0.01, "batch_norm": batch_norm}
    subsets = {1: torch.arange(40), 2: torch.arange(10, 50)}
    plain, zero = (
        [(seed, model.network.state_dict(), rows) for seed, model, rows in runs]
        for runs in (
            fine_tune_seeds(source, dataset, subsets, blocks, protocol, CPU),
            fine_tune_seeds(source, dataset, subsets, blocks, protocol, CPU, partial(PulledBack, strength=0.0)),
        )
    )
    together = blocks == 0 and batch_norm == "frozen"
    for (seed, weights, rows), (same, other_weights, other_rows) in zip(plain, zero, strict=True):
        assert seed == same
        for row, other in zip(rows, other_rows, strict=True):
            expected = [other[name] for name in NAMES]
            found = [row[name] for name in NAMES]
            assert found == (pytest.approx(expected, rel=1e-4, abs=1e-4) if together else expected)
        for name, tensor in weights.items():
            assert torch.allclose(tensor, other_weights[name], rtol=1e-4, atol=1e-5 if together else 0)
            assert together or torch.equal(tensor, other_weights[name])


@pytest.mark.parametrize("blocks", [0, 1])
def test_the_log_tells_how_far_the_job_has_come(source, dataset, blocks, caplog):
    """Two seeds of three epochs, of which the first and the last are logged."""
    caplog.set_level("INFO")
    run(source, dataset, blocks, seeds=(1, 2), batch_norm="frozen")
    pattern = r"seed (\d) epoch (\d)/3: train loss [\d.]+, test accuracy [\d.]+, \d+ images/s; (\d+)% done, about [\d.]+ min left"
    found = [tuple(map(int, re.fullmatch(pattern, line).groups())) for line in caplog.messages]
    if blocks == 0:  # both seeds at once
        assert found == [(1, 1, 33), (2, 1, 33), (1, 3, 100), (2, 3, 100)]
    else:
        assert found == [(1, 1, 17), (1, 3, 50), (2, 1, 67), (2, 3, 100)]


def test_what_is_left_takes_as_long_as_what_is_done_took(monkeypatch):
    now = [50.0]
    monkeypatch.setattr(transfer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    progress = transfer._Progress(10)
    progress.finished, now[0] = 4, 50.0 + 240.0
    assert (progress.done, progress.minutes_left) == (0.4, pytest.approx(6))
    progress.finished = 10
    assert (progress.done, progress.minutes_left) == (1, 0)


def test_few_modules_lie_under_every_fine_tuned_model():
    """A change to any of them trains a large grid anew. Add none without need."""
    finder = ModuleFinder(path=[str(SCRIPTS)])
    finder.run_script(str(SCRIPTS / "transfer.py"))
    found = {name for name, module in finder.modules.items() if module.__file__}
    found = {name.removeprefix("advtransfer.") for name in found - {"__main__", "advtransfer"}}
    assert found == {
        "activations",
        "artefacts",
        "augmentation",
        "command_line",
        "datasets",
        "devices",
        "errors",
        "memory",
        "models",
        "optimisation",
        "randomness",
        "transfer",
    }
