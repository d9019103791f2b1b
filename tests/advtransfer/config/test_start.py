"""What every start does: answers any configuration with one line, and sees before a run that its results can be written."""

import copy
import datetime
import os
import random
import time
from collections import Counter

import pytest

from advtransfer.config import inputs, outputs, resolve, start
from advtransfer.config.catalogue import CATALOGUE
from advtransfer.config.start import choose, require_writable
from advtransfer.config.values import LONGEST_LINE
from advtransfer.errors import InputError
from experiments import PROJECT, read_config

SCHEMA = PROJECT / "rules" / "config.schema.yaml"


def finding(config) -> str | None:
    """What is wrong with a configuration; None if nothing is."""
    try:
        choose(config, SCHEMA)
    except InputError as error:
        return str(error)
    return None


def test_the_chosen_experiment():
    chosen = choose(read_config(), SCHEMA, [PROJECT / "config.yaml"])
    assert chosen.experiment["name"] == "demo"
    assert chosen.counts["glyphs"] == {"train": 2000, "test": 500, "classes": 10}
    assert chosen.inspection["influence"]["target"] == "digits"


def test_a_folder_that_cannot_be_looked_into_is_one_line():
    config = read_config()
    config["targets"]["digits"] = {"kind": "image_folder", "path": "x" * 300, "test_share": 0.5}
    message = finding(config)
    assert message.startswith("config: target 'digits': xxx")
    assert "(File name too long)" in message
    assert len(message) <= LONGEST_LINE


def test_settings_that_do_not_fit_into_a_command():
    """A thousand evaluated epochs at each of a hundred sizes: every job's command would be refused by the system."""
    config = read_config()
    config["protocols"]["demo"]["epochs"] = [{"epochs": 1000, "evaluate_every": 1}]
    config["experiments"]["demo"] |= {"images": list(range(100, 200)), "epsilon": {}, "resolution": {"pixels": [5]}}
    config["experiments"]["demo"] |= {
        "influence": {},
        "visualisation": {},
        "robustness_bound": {},
        "transferability": {},
    }
    assert "its settings take" in finding(config)
    assert "Use fewer sources, sizes or epochs to evaluate" in finding(config)


def test_results_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_writable("figures", "results/deep")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "figures").write_text("a file in the folder's place")
    with pytest.raises(InputError, match=r"^figures/: no file can be written there \(Not a directory\)"):
        require_writable("figures", "results")
    (tmp_path / "figures").unlink()
    (tmp_path / "results").mkdir()

    def refuse(dir):
        raise PermissionError(13, os.strerror(13), str(dir))

    # As for a user without the right; an administrator has all of them.
    monkeypatch.setattr(start.tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"^results/: no file can be written there \(Permission denied\)"):
        require_writable("results")


# ------------------------------------------------------------------------------------------------------------- fuzzing

ENDLESS: list = []
ENDLESS.append(ENDLESS)
BOMB: list = ["x"]
for _ in range(40):
    BOMB = [BOMB, BOMB]
DEEP: list = []
for _ in range(400):
    DEEP = [DEEP]
# What may stand in a value's place: of every type that YAML and JSON know, at and beyond the bounds of each.
VALUES = [
    None, True, False, 0, 1, -1, 2, 3, 16, 17, 50, 100, 10**4, 10**9, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 16**5000, -(10**40),
    0.0, -0.0, 0.5, 1.0, 3.0, 50.0, 1e-320, 5e-324, 1e-7, 1e7, 1e308, -1e308, float("nan"), float("inf"), float("-inf"),
    "", " ", "x", "all", "demo", "l2", "natural", "1/255", "4/0", "0/1", "1/" + "9" * 5000, "9" * 400 + "/1", "1e5", "nan", "50", "-1",
    "a" * 20, "a" * 250, "a" * 5000, "é" * 300, "demo\n", "two\nlines", "a\0b", "\ud800", "\u202e", "../..", "/", "$(x)", "{x}", "%s", "'", '"',
    [], [[]], [None], [1, 1], [1, 1.0], ["x", "x"], [1, "a", None, {}], list(range(3000)), [{}] * 3000, ["a", 1] * 2500,
    {}, {"x": 1}, {"": ""}, {1: 2}, {None: None}, {1.5: 1, "a": 2}, {("a",): 1}, {"kind": "file"}, {"a" * 5000: {"b" * 5000: 1}}, {"x": {"y": {"z": []}}},
    {"images_up_to": 5, "seeds": 1}, {"norm": "l2", "epsilon": 1e-9}, {"norm": "linf", "epsilon": "1000/1"},
    ENDLESS, BOMB, DEEP, datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), b"bytes", {1, 2}, (1, 2), print,
]  # fmt: skip


def complete_config() -> dict:
    """The project's configuration with all optional keys somewhere."""
    config = read_config()
    config["mirror"] = "folder"
    config["style"] = {"all": {"font.size": 9}, "fig2": {"axes.prop_cycle": ["a", "b"]}}
    config["targets"] |= {
        "leaves": {
            "kind": "image_folder",
            "path": str(PROJECT / "scripts"),
            "test_share": 0.5,
            "resolution": 8,
            "resize": 8,
        },
        "stones": {"kind": "image_folder", "path": "no/such/folder", "unreadable": "skip", "label": "Stones"},
    }
    config["targets"]["mnist"]["data_root"] = "data"
    config["robustness"]["test_data"]["mini"] = "cifar100"
    config["sources"]["mini_l2"] |= {
        "layers": [3, 4, 6, 3],
        "width": 0.25,
        "stem": "cifar",
        "classes": 100,
        "resolution": 32,
    }
    config["sources"]["mini_l2"] |= {"label": "L2", "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}
    config["sources"]["trained"] = {
        "kind": "train", "dataset": "cifar100", "family": "mine", "layers": [3, 4, 6, 3], "width": 0.25, "stem": "cifar", "resolution": 32,
        "seed": 0, "threat": {"norm": "l2", "epsilon": 0.5}, "attack_steps": 3, "epochs": 30, "batch_size": 128, "peak_learning_rate": 0.2,
        "momentum": 0.9, "weight_decay": 5e-4, "precision": "bf16", "stored_dtype": "float16",
        "evaluation": {"threats": [{"norm": "linf", "epsilon": "4/255"}], "attack_steps": 20, "attacked_images": 2000},
    }  # fmt: skip
    config["protocols"]["demo"] |= {"augmentation": "paper", "views": 4, "precision": "bf16"}
    config["experiments"]["demo"] |= {
        "rows": "computed",
        "figures": {"fig2": {"roles": ["natural", "robust"], "blocks": [1], "epoch": "best"}},
        "fig3": {"images": 100, "epochs": [1, 30]},
        "epsilon": {"family": "mini", "images": [100]},
        "influence": {"target": "digits", "images": 100, "blocks": 3, "test_images": 50, "all_weights_queries": 5},
        "visualisation": {"target": "digits", "images": 100, "blocks": 0, "units": [3]},
    }
    return config


def places(value, path=()):
    """The paths of everything in a configuration, the whole included, down to a depth that no sane one has."""
    yield path
    if len(path) > 12:  # an earlier change put something without end here
        return
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield from places(item, (*path, key))


def mutate(config, path, rng: random.Random) -> str:
    """Change one place; returns the kind of change."""
    *above, last = path
    holder = config
    for key in above:
        holder = holder[key]
    old = holder[last]
    kind = rng.choice(("value", "value", "value", "bound", "delete", "misspell", "swap", "wrap", "twice", "move"))
    if kind == "bound" and isinstance(old, int | float) and not isinstance(old, bool):
        holder[last] = rng.choice(
            (-old, old - 1, old + 1, old * 10**6, old * 10**18, float(old), old / 3, old * 1e-9, str(old))
        )
    elif kind == "delete":
        del holder[last]
    elif kind == "misspell" and isinstance(holder, dict):
        at = rng.randrange(len(last) + 1)
        holder[last[:at] + rng.choice("xé\n/.$ 0") + last[at + rng.randrange(2) :]] = holder.pop(last)
    elif kind == "swap" and isinstance(old, dict):
        holder[last] = rng.choice((list(old), list(old.values()), list(map(list, old.items()))))
    elif kind == "swap" and isinstance(old, list):
        holder[last] = rng.choice((dict.fromkeys(map(str, old)), dict(enumerate(old)), str(old)))
    elif kind == "wrap":
        holder[last] = rng.choice(([old], {"x": old}, {str(last): old}, [old, old]))
    elif kind == "twice" and isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(old))
    elif kind == "move":
        everywhere = list(places(config))
        target = rng.choice(everywhere)
        value = config
        for key in target:
            value = value[key]
        holder[last] = copy.deepcopy(value)
    else:
        kind = "value"
        holder[last] = rng.choice(VALUES)
    return kind


def plan(config) -> None:
    """What the rules ask of a configuration besides, at every start or for some outputs."""
    chosen = choose(config, SCHEMA)
    everything = (config, chosen.experiment, chosen.inspection)
    assert outputs.listing(*everything)
    assert outputs.wanted_by_default(*everything)
    for figure, entry in CATALOGUE.items():
        assert resolve.experiment_for(chosen.experiment, figure)
        if entry.tabulate.startswith("descriptions."):
            assert resolve.describe(config, chosen.experiment, figure)
    for source in config["sources"]:
        assert resolve.resolve_robustness(config, source)["threats"] is not None
        assert inputs.checkpoint(config, source) if config["sources"][source]["kind"] != "train" else True
    assert inputs.downloads(config)


@pytest.mark.slow
def test_any_configuration_is_answered_in_one_line_within_a_second(monkeypatch):
    """Every place of the configuration changed in several ways, with a fixed seed; each is checked and resolved."""
    monkeypatch.chdir(PROJECT)
    rng = random.Random(0)
    whole = complete_config()
    assert finding(whole) is None
    everywhere = [path for path in places(whole) if path]
    names = list(whole["experiments"])
    found, kinds, slowest = Counter(), Counter(), (0.0, "")
    for index in range(10 * len(everywhere)):
        config = copy.deepcopy(whole)
        # The experiment that is chosen by default is looked into most closely.
        config["experiment"] = "demo" if index % 2 else names[index // 2 % len(names)]
        path = everywhere[index % len(everywhere)]
        changes = [(path, mutate(config, path, rng))]
        if rng.random() < 0.2:
            left = (
                [other for other in places(config["experiments"]) if other]
                if isinstance(config.get("experiments"), dict)
                else []
            )
            if left and len(left) < 1000:
                other = rng.choice(left)
                changes.append((other, mutate(config["experiments"], other, rng)))
        kinds.update(kind for _, kind in changes)
        began = time.process_time()
        try:
            message = finding(config)
            if message is None:
                plan(config)
        except BaseException as error:
            raise AssertionError(f"{index}: {changes}: {type(error).__name__}: {str(error)[:300]}") from error
        seconds = time.process_time() - began
        slowest = max(slowest, (seconds, f"{index}: {changes}"[:200]))
        found["refused" if message else "accepted"] += 1
        if message is not None:
            assert message.isprintable(), f"{index}: {changes}: {message!r}"
            assert len(message) <= LONGEST_LINE, f"{index}: {changes}: {message!r}"
    print(
        f"{found.total():,} configurations of {len(everywhere):,} places: {dict(found)}; changes {dict(kinds)}; slowest {slowest}"
    )
    assert found.total() >= 4000
    assert slowest[0] < 1, slowest
