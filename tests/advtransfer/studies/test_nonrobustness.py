"""Worst cases under attack: what must hold of their counts whatever the network, and against a plain loop."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.adversarial import random_starts
from advtransfer.attacks import pgd
from advtransfer.augmentation import to_unit
from advtransfer.config.columns import NONROBUSTNESS_ROWS
from advtransfer.errors import InputError
from advtransfer.models import ImageClassifier, ResNet, load_source
from advtransfer.studies import nonrobustness as study
from advtransfer.threats import Linf

CPU = torch.device("cpu")
ATTACK = {"norm": "linf", "steps": 3, "restarts": 2, "seed": 5, "epsilons": [1 / 255, 4 / 255]}
RESOLUTION = 16


def a_network(seed=0, classes=4):
    network = ResNet(classes, (1, 1), 0.125, "imagenet")
    network.initialise(torch.Generator().manual_seed(seed))
    return ImageClassifier(network).eval()


def some_images(count=12, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, RESOLUTION, RESOLUTION), generator=generator).to(torch.uint8)
    return images, torch.randint(classes, (count,), generator=generator), torch.arange(100, 100 + count)


def right(model, images, labels, ids, epsilons, **changes):
    return study.right_under_attack(model, images, labels, ids, RESOLUTION, epsilons, {**ATTACK, **changes}, CPU)


@given(
    seed=st.integers(0, 5),
    epsilons=st.lists(st.sampled_from([0.5 / 255, 1 / 255, 4 / 255, 16 / 255, 0.3]), max_size=4, unique=True),
    restarts=st.integers(1, 2),
)
@settings(max_examples=12, deadline=None)
def test_what_is_right_only_gets_less(seed, epsilons, restarts):
    """Radius 0 is the clean accuracy; no larger radius has an image right that a smaller one has lost, nor do more restarts."""
    model, (images, labels, ids) = a_network(seed), some_images(8, seed=seed)
    found = right(model, images, labels, ids, epsilons, restarts=restarts)
    assert list(found) == [0.0, *sorted(epsilons)]
    with torch.no_grad():
        clean = model(to_unit(images, RESOLUTION)).argmax(1) == labels
    assert torch.equal(found[0.0], clean)
    for smaller, larger in zip(list(found.values())[:-1], list(found.values())[1:], strict=True):
        assert not (larger & ~smaller).any()
    more = right(model, images, labels, ids, epsilons, restarts=restarts + 1)
    assert all(not (more[epsilon] & ~mask).any() for epsilon, mask in found.items())


def test_a_radius_of_0_is_no_attack():
    model, data = a_network(), some_images()
    found = right(model, *data, [0.0])
    assert torch.equal(found[0.0], right(model, *data, [])[0.0])


def test_equals_a_plain_loop_over_all_images():
    """Every image attacked at every radius and restart, each iterate made anew from the start, none left out: the intersection is the same."""
    model, (images, labels, ids) = a_network(3), some_images(16, seed=3)
    x = to_unit(images, RESOLUTION)
    with torch.no_grad():
        labels = model(x).argmax(1)  # all right, or there is nothing to lose
    expected, left = {0.0: torch.ones(16, dtype=torch.bool)}, torch.ones(16, dtype=torch.bool)
    clear = torch.ones(16, dtype=torch.bool)  # of images whose class never hangs on rounding
    for epsilon in ATTACK["epsilons"]:
        threat = Linf(epsilon)
        for restart, steps in itertools.product(range(ATTACK["restarts"]), range(ATTACK["steps"] + 1)):
            start = random_starts(threat, x, ids.tolist(), "logits", restart, ATTACK["seed"])
            point = pgd(model, x, labels, threat, steps, 2.5 * epsilon / ATTACK["steps"], start=start)
            assert float((point - x).abs().max()) <= epsilon + 1e-6
            with torch.no_grad():
                logits = model(point)
            highest = logits.topk(2).values
            clear &= highest[:, 0] - highest[:, 1] > 1e-4
            left = left & (logits.argmax(1) == labels)
        expected[epsilon] = left
    found = right(model, images, labels, ids, ATTACK["epsilons"])
    assert int(clear.sum()) > 12
    assert all(torch.equal(found[epsilon][clear], mask[clear]) for epsilon, mask in expected.items())
    assert 0 < int(found[4 / 255].sum()) < 16 or int(found[1 / 255].sum()) < 16


def test_an_image_is_attacked_alike_whatever_else_is():
    model, (images, labels, ids) = a_network(1), some_images(10, seed=1)
    whole = right(model, images, labels, ids, ATTACK["epsilons"])
    some = torch.tensor([1, 4, 9])
    part = right(model, images[some], labels[some], ids[some], ATTACK["epsilons"])
    assert all(torch.equal(part[epsilon], mask[some]) for epsilon, mask in whole.items())


def job(**changes):
    return {"attack": ATTACK, "autoattack_images": 0, "autoattack_epsilon": 4 / 255, **changes}


def test_rows_have_their_columns_and_count_images():
    images, labels, ids = some_images()
    models = [(7, a_network(0)), (8, a_network(1))]
    rows = list(study.measure(iter(models), images, labels, ids, RESOLUTION, job(), CPU))
    named = ("arm", "way", "source", "target", "blocks", "images", "beta")
    assert all([*named, *row] == list(NONROBUSTNESS_ROWS) for row in rows)
    assert [(row["seed"], row["epsilon"]) for row in rows] == [
        (seed, epsilon) for seed in (7, 8) for epsilon in (0.0, 1 / 255, 4 / 255)
    ]
    for row in rows:
        assert 0 <= row["right"] == row["pgd"] <= row["clean"] <= row["test_images"] == 12
        assert row["epsilon"] > 0 or row["right"] == row["clean"]


def test_autoattack_counts_what_pgd_left(monkeypatch):
    """A stand-in that turns images black: the rows' bookkeeping; the next test has the real one."""
    calls = []

    def blacken(model, images, labels, threat, classes, seed):
        calls.append((len(images), threat, classes))
        return torch.zeros_like(images)

    monkeypatch.setattr(study, "autoattack", blacken)
    monkeypatch.setattr(study, "find_spec", lambda name: name)
    model, (images, _, ids) = a_network(2), some_images(12, seed=2)
    with torch.no_grad():
        labels = model(to_unit(images, RESOLUTION)).argmax(1)
        black = int(model(torch.zeros(1, 3, RESOLUTION, RESOLUTION)).argmax(1))
    *_, row = study.measure(iter([(1, model)]), images, labels, ids, RESOLUTION, job(autoattack_images=5), CPU)
    some = [0, 3, 6, 8, 11]  # evenly spaced
    left = right(model, images, labels, ids, ATTACK["epsilons"])[4 / 255][some]
    assert (row["attack"], row["test_images"], row["clean"], row["pgd"]) == ("autoattack", 5, 5, int(left.sum()))
    assert row["right"] == int((left & (labels[some] == black)).sum())
    assert calls == ([(int(left.sum()), Linf(4 / 255), 4)] if left.any() else [])


def test_without_torchattacks_a_line_says_so(monkeypatch):
    monkeypatch.setattr(study, "find_spec", lambda name: None)
    images, labels, ids = some_images()
    asked = study.measure(iter([(1, a_network())]), images, labels, ids, RESOLUTION, job(autoattack_images=5), CPU)
    with pytest.raises(
        InputError, match=r"nonrobustness\.autoattack_images: the package torchattacks is not installed"
    ):
        list(asked)


def test_autoattack_lowers_what_pgd_of_a_step_leaves():
    pytest.importorskip("torchattacks")
    source = Path(__file__).resolve().parents[3] / "resources" / "sources" / "natural.safetensors"
    model = load_source(source)
    images = torch.randint(0, 256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with torch.no_grad():
        labels = model(to_unit(images, 32)).argmax(1)
    before = torch.ones(3, dtype=torch.bool)
    after = study.right_under_autoattack(model, images, labels, before, 32, Linf(8 / 255), 0, CPU)
    assert int(after.sum()) < 3
    assert before.all()
    nothing = study.right_under_autoattack(model, images, labels, ~before, 32, Linf(8 / 255), 0, CPU)
    assert not nothing.any()
