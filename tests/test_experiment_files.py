"""The experiment files that docs/ refers to: accepted beside config.yaml, and what they say that they change."""

import math
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from advtransfer.config.check import check
from advtransfer.config.resolve import resolve_protocol
from advtransfer.transfer import learning_rate_at
from experiments import PROJECT, read_config

FILES = sorted((PROJECT / "resources/experiments").glob("*.yaml"))


def merged(file: Path):
    config, own = read_config(), yaml.safe_load(file.read_text(encoding="utf-8"))
    update_config(config, own)
    return config, own


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_experiment_of_every_file_is_accepted(file):
    config, own = merged(file)
    for name in own["experiments"]:
        check({**config, "experiment": name}, PROJECT / "rules/config.schema.yaml")


def test_protocols_of_influence_are_the_demo_s_with_what_their_names_say():
    config, own = merged(PROJECT / "resources/experiments/influence.yaml")
    demo = resolve_protocol(config, "demo", 200)
    changed = {}
    for name in own["protocols"]:
        protocol = resolve_protocol(config, name, 200)
        changed[name] = {key: value for key, value in protocol.items() if value != demo[key]}
    small, decayed, augmented = {"head_init": "uniform"}, {"weight_decay": 0.05}, {"augmentation": "paper"}
    assert changed == {
        "small_head": small,
        "decayed": decayed,
        "augmented": augmented,
        "all_three": small | decayed | augmented,
    }


def test_how_much_of_a_weight_the_decay_leaves():
    """99% with the demo's decay and 43% with a hundred times as much, as the file says: SGD with momentum on decay alone, 2 steps an epoch."""
    config, _ = merged(PROJECT / "resources/experiments/influence.yaml")
    left = {}
    for name in ("demo", "decayed"):
        protocol, weight, velocity = resolve_protocol(config, name, 200), 1.0, 0.0
        for epoch in range(1, protocol["epochs"] + 1):
            for _ in range(math.ceil(200 / protocol["batch_size"])):
                velocity = protocol["momentum"] * velocity + protocol["weight_decay"] * weight
                weight -= learning_rate_at(epoch, protocol["epochs"], protocol["learning_rate"]) * velocity
        left[name] = weight
    assert left == pytest.approx({"demo": 0.99, "decayed": 0.43}, abs=0.006)
