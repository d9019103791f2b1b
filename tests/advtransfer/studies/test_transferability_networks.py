"""Attacks on outputs and what is read off them: bounds, invariants, an independent computation."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from advtransfer.adversarial import random_starts
from advtransfer.attacks import pgd
from advtransfer.augmentation import to_unit
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build
from advtransfer.studies.transferability_networks import (
    Seen,
    Trio,
    attack,
    measure,
    output_attack,
    radius_at,
    summarise,
)
from advtransfer.tables.transferability_networks import MEASURES
from advtransfer.threats import L2, Linf

CPU = torch.device("cpu")
RESOLUTION, STEPS = 16, 4


def network(seed, classes=5):
    metadata = {"classes": classes, "layers": [1, 1], "width": 0.25, "stem": "imagenet", "resolution": RESOLUTION}
    model = build({**metadata, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)})
    model.network.initialise(torch.Generator().manual_seed(seed))
    return model.eval()


@pytest.fixture(scope="module")
def images():
    images = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(100, 124)


@pytest.fixture(scope="module")
def trio():
    return Trio(network(0, 7), network(1), network(2))


def labels_of(model, images):
    with torch.no_grad():
        return model(to_unit(images, RESOLUTION)).argmax(1)


def attacked(networks, images, labels, **changes):
    arguments = {"resolution": RESOLUTION, "threat": Linf(0.1), "steps": STEPS, "seed": 3, "device": CPU} | changes
    return attack(networks, images[0], labels, images[1], **arguments)


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.7)])
def test_an_attack_stays_in_its_ball_and_moves_the_output_furthest(images, trio, threat):
    x = to_unit(images[0], RESOLUTION)
    start = random_starts(threat, x, images[1].tolist(), "output change", 0, 3)
    found = output_attack(trio.source, x, threat, 10, start)
    assert (threat.size(found - x) <= threat.epsilon * (1 + 1e-5)).all()
    assert ((found >= 0) & (found <= 1)).all()
    with torch.no_grad():
        moved = [
            (trio.source(at) - trio.source(x)).norm(dim=1) for at in (found, (x + threat.project(start)).clamp(0, 1))
        ]
    assert (moved[0] >= moved[1] * (1 - 1e-5)).all()
    assert moved[0].mean() > 1.3 * moved[1].mean()


def test_a_network_and_itself(images):
    """Source, probe and reference are one: alpha1 is 1, alpha2 between 1 / sqrt(d) and 1, attacks transfer as they succeed."""
    one = network(4)
    labels = labels_of(one, images[0])
    right, seen = attacked(Trio(one, one, one), images, labels)
    assert right.all()
    found = summarise(seen, labels)
    for direction in ("source_target", "target_source"):
        assert found[f"alpha1_{direction}"] == pytest.approx(1, abs=1e-12)
        assert 1 / math.sqrt(5) - 1e-12 <= found[f"alpha2_{direction}"] <= 1 + 1e-12
        assert found[f"combined_{direction}"] == pytest.approx(found[f"alpha2_{direction}"], abs=1e-12)
        assert found[f"alpha2_squared_{direction}"] == pytest.approx(found[f"alpha2_{direction}"] ** 2)
        assert found[f"transfer_rate_{direction}"] == found["own_rate_source"] == found["own_rate_target"]


def test_the_scale_of_an_output_changes_nothing(images, trio):
    """A power of 2: the same steps, bit for bit."""
    labels = labels_of(trio.reference, images[0])
    scaled = copy.deepcopy(trio.source)
    with torch.no_grad():
        scaled.network.fc.weight *= 8
        scaled.network.fc.bias *= 8
    (_, one), (_, other) = (
        attacked(Trio(source, trio.probe, trio.reference), images, labels) for source in (trio.source, scaled)
    )
    first, second = summarise(one, labels), summarise(other, labels)
    for name in MEASURES:
        assert first[name] == pytest.approx(second[name], rel=1e-6), name
    assert torch.allclose(8 * one.source_own, other.source_own)


def test_only_what_the_reference_has_right_is_attacked(images, trio):
    labels = labels_of(trio.reference, images[0])
    labels[::3] = (labels[::3] + 1) % 5
    right, seen = attacked(trio, images, labels)
    assert right.tolist() == [index % 3 != 0 for index in range(24)]
    found = summarise(seen, labels[right])
    assert found["reference_right"] == 16
    assert found["both_right"] == int((labels_of(trio.probe, images[0][right]) == labels[right]).sum())
    # No image knows which others are attacked beside it.
    some = (images[0][right][:5], images[1][right][:5])
    _, alone = attacked(trio, some, labels[right][:5])
    assert torch.allclose(alone.source_target, seen.source_target[:5], rtol=1e-3, atol=1e-4)


def test_no_image_is_right(images, trio):
    labels = (labels_of(trio.reference, images[0]) + 1) % 5
    found = measure(trio, images[0], labels, images[1], RESOLUTION, Linf(0.1), STEPS, 3, CPU)
    assert found["reference_right"] == 0
    assert all(math.isnan(found[name]) for name in MEASURES)


def test_all_attacks_of_an_image_begin_at_one_point(images, trio):
    """With 0 steps every attack is its start: what S and T do there is seen from both sides."""
    labels = labels_of(trio.reference, images[0])
    _, seen = attacked(trio, images, labels, steps=0)
    assert torch.equal(seen.source_own, seen.target_source)
    assert torch.equal(seen.target_own, seen.source_target)
    assert torch.equal(seen.reference_own, seen.reference_transferred)
    assert torch.equal(seen.probe_own, seen.probe_transferred)
    _, other = attacked(trio, images, labels, steps=0, seed=4)
    assert not torch.equal(seen.source_own, other.source_own)


def test_transfer_rates_by_hand(images, trio):
    """Attacks on the cross-entropy of the true class, from the same start; of the probe only images that it has right."""
    labels = labels_of(trio.reference, images[0])
    labels[:12] = labels_of(trio.probe, images[0])[:12]
    right, seen = attacked(trio, images, labels)
    x, y, ids = to_unit(images[0], RESOLUTION)[right], labels[right], images[1][right].tolist()
    threat = Linf(0.1)
    start = random_starts(threat, x, ids, "output change", 0, 3)
    points = {
        name: pgd(getattr(trio, name), x, y, threat, STEPS, keep_best=True, start=start)
        for name in ("probe", "reference")
    }
    with torch.no_grad():
        on_reference = (trio.reference(points["probe"]).argmax(1) != y).double().mean()
        both = trio.probe(x).argmax(1) == y
        on_probe = (trio.probe(points["reference"]).argmax(1) != y)[both].double().mean()
    found = summarise(seen, y)
    assert 0 < both.sum() < len(y)
    assert found["transfer_rate_source_target"] == pytest.approx(float(on_reference))
    assert found["transfer_rate_target_source"] == pytest.approx(float(on_probe))
    loss = functional.cross_entropy(trio.probe(points["probe"]), y, reduction="none")
    assert (loss >= functional.cross_entropy(trio.probe((x + start).clamp(0, 1)), y, reduction="none") - 1e-5).all()


def test_the_measures_by_loops():
    """The definitions input by input, in NumPy, with an image at which an attack does nothing."""
    rng = np.random.default_rng(0)
    changes = {name: rng.normal(size=(9, d)) for name, d in (("ss", 3), ("st", 4), ("tt", 4), ("ts", 3))}
    changes["tt"][2] = 0
    tensors = [torch.from_numpy(changes[name]) for name in ("ss", "st", "tt", "ts")]
    classes = torch.zeros(9, dtype=torch.int64)
    found = summarise(Seen(*tensors, *[classes] * 5), classes)
    kept = [index for index in range(9) if index != 2]
    for direction, (own, moved, other) in {
        "source_target": ["ss", "st", "tt"],
        "target_source": ["tt", "ts", "ss"],
    }.items():
        norm = {name: np.linalg.norm(changes[name], axis=1) for name in (own, moved, other)}
        of = kept if direction == "source_target" else range(9)
        ratios = {index: norm[moved][index] / norm[other][index] for index in of}
        unit = {
            index: np.outer(changes[own][index] / norm[own][index], changes[moved][index] / norm[moved][index])
            for index in kept
        }
        plain = (
            unit
            if direction == "target_source"
            else {
                index: np.outer(changes[own][index] / norm[own][index], changes[moved][index] / norm[moved][index])
                for index in range(9)
            }
        )
        assert found[f"alpha1_{direction}"] == pytest.approx(np.mean(list(ratios.values())))
        assert found[f"alpha2_{direction}"] == pytest.approx(np.linalg.norm(sum(plain.values()) / len(plain)))
        weighted = sum(ratios[index] * unit[index] for index in kept) / len(kept)
        assert found[f"combined_{direction}"] == pytest.approx(np.linalg.norm(weighted))
        assert found[f"left_out_{direction}"] == 1


def test_the_radius_of_a_resolution():
    steps = [[64, 0.1], [10**9, 0.01]]
    assert [radius_at(steps, pixels) for pixels in (8, 64, 65, 224)] == [0.1, 0.1, 0.01, 0.01]
