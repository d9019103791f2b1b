"""Robustness of sources: measured on the right images, or taken from the training record."""

import pytest
import torch

from advtransfer.attacks import pgd
from advtransfer.augmentation import to_unit
from advtransfer.datasets import Dataset, draw_test_images
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build
from advtransfer.randomness import generator_for
from advtransfer.records import describe_attack, recorded
from advtransfer.robustness import measure, measure_accuracy
from advtransfer.tables.robustness import COLUMNS
from advtransfer.threats import L2, Linf

CPU = torch.device("cpu")
SETTINGS = {
    "threats": [{"norm": "l2", "epsilon": 0.2}, {"norm": "linf", "epsilon": 0.01}],
    "attack": "pgd",
    "steps": 3,
    "restarts": 2,
    "images": 20,
    "seed": 4,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    shape = {"layers": [1], "width": 0.125, "stem": "cifar", "classes": 3}
    return build({**shape, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}).eval()


@pytest.fixture
def dataset(model):
    """48 test images with the labels that the network gives them, sorted by label."""
    images = torch.randint(0, 256, (48, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        labels = model(to_unit(images, 8)).argmax(1)
    order = labels.argsort()
    return Dataset(images[:3], torch.arange(3), images[order], labels[order], ["a", "b", "c"], {})


def test_accuracy_is_that_of_the_networks_answers(model, dataset):
    wrong = dataset.test_labels.clone()
    wrong[:12] = (wrong[:12] + 1) % 3
    assert measure_accuracy(model, dataset.test_images, dataset.test_labels, 8) == 1
    assert measure_accuracy(model, dataset.test_images, wrong, 8, batch_size=7) == 36 / 48


def test_attacked_accuracy_is_that_of_pgd(model, dataset):
    """One restart: pgd itself from the same random start."""
    images, labels, threat = to_unit(dataset.test_images, 8), dataset.test_labels, L2(0.2)
    generator = generator_for(4, "evaluation attack")
    adversarial = pgd(model, images, labels, threat, 3, random_start=True, keep_best=True, generator=generator)
    with torch.no_grad():
        expected = (model(adversarial).argmax(1) == labels).float().mean()
    measured = measure_accuracy(model, dataset.test_images, labels, 8, threat, steps=3, seed=4)
    assert measured == pytest.approx(float(expected))
    assert 0 < measured < 1


@pytest.mark.parametrize("threat", [L2(0.0), Linf(0.0)])
def test_an_attack_of_zero_radius_is_no_attack(model, dataset, threat):
    assert measure_accuracy(model, dataset.test_images, dataset.test_labels, 8, threat, steps=2) == 1


def test_rows_of_a_source(model, dataset, caplog):
    caplog.set_level("INFO")
    rows = list(measure(model, dataset, 8, SETTINGS, CPU, "mine"))
    assert [list(row) for row in rows] == [COLUMNS] * 3
    assert [(row["norm"], row["epsilon"], row["images"]) for row in rows] == [
        ("", 0, 48),
        ("l2", 0.2, 20),
        ("linf", 0.01, 20),
    ]
    assert rows[0]["accuracy"] == 1
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "none  0",
        "PGD-3, 2 restarts l2 0.2",
        "PGD-3, 2 restarts linf 0.01",
    ]
    assert {row["attack"] for row in rows[1:]} == {"PGD-3, 2 restarts"}
    assert rows == list(measure(model, dataset, 8, SETTINGS, CPU, "mine"))
    ids = draw_test_images(dataset, 20, 4)
    expected = measure_accuracy(
        model, dataset.test_images[ids], dataset.test_labels[ids], 8, Linf(0.01), steps=3, restarts=2, seed=4
    )
    assert rows[2]["accuracy"] == expected


def test_attacked_images_are_drawn_from_all_classes(dataset):
    """Sorted by class, the first 20 images would be of one or two classes."""
    dataset.test_labels = torch.arange(48) // 16
    ids = draw_test_images(dataset, 20, 0)
    assert len(set(ids.tolist())) == 20
    assert set(dataset.test_labels[ids].tolist()) == {0, 1, 2}
    assert torch.equal(ids, draw_test_images(dataset, 20, 0))
    assert torch.equal(draw_test_images(dataset, 1000, 0), torch.arange(48))


def test_test_images_of_another_data_set_are_refused(model, dataset):
    dataset.class_names = ["a", "b"]
    with pytest.raises(InputError, match=r"source 'mine' tells 3 classes apart, its test data has 2\. Give"):
        next(measure(model, dataset, 8, SETTINGS, CPU, "mine"))


def test_a_training_record_speaks_for_its_source():
    measured = {
        "test_accuracy": 0.5,
        "test_images": 100,
        "attacked_images": 40,
        "robust_accuracy": [{"norm": "l2", "epsilon": 0.5, "accuracy": 0.25}],
    }
    record = {"settings": {"evaluation": {"attack_steps": 20}}, "measured": measured}
    for origin in (record, {"file": "x", "record": record}):
        clean, attacked = recorded({"origin": origin}, "mine")
        assert clean == dict(zip(COLUMNS, ["mine", "", 0.0, 0.5, 100, "none", "training record"], strict=True))
        assert attacked == dict(zip(COLUMNS, ["mine", "l2", 0.5, 0.25, 40, "PGD-20", "training record"], strict=True))
    assert recorded({"origin": {"file": "x"}}, "mine") == []


def test_attacks_in_words():
    assert describe_attack("pgd", 20, 1) == "PGD-20"
    assert describe_attack("pgd", 20, 5) == "PGD-20, 5 restarts"
    assert describe_attack("autoattack", 20, 1) == "AutoAttack"
