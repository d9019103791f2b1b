"""Every mistake in the configuration is one line that names the key, the finding and the remedy."""

import copy

import pytest

from advtransfer.errors import InputError
from experiments import resolved


def change(config, path, value):
    *parents, last = path.split(".")
    for key in parents:
        config = config[key]
    if value is KeyError:
        del config[last]
    else:
        config[last] = value


def test_the_projects_own_configuration_is_right(config):
    for experiment in (
        "demo",
        "demo_autoattack",
        "published",
        "published_full",
        "slice",
        "paper",
        "resolution",
        "ladder",
        "mine",
    ):
        config["experiment"] = experiment
        assert resolved(config)["name"] == experiment


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experiment", "papr", "config: experiment: no experiment is named 'papr'. Did you mean 'paper'?"),
        ("experiment", "xyz", "no experiment is named 'xyz'. Choose one of: demo, demo_autoattack, published, published_full, slice, paper, resolution, ladder, mine."),
        ("sorces", {}, "config: top level: unknown key 'sorces'. Did you mean 'sources'?"),
        ("protocols.demo.learning_rte", 0.1, "config: protocols.demo: unknown key 'learning_rte'. Did you mean 'learning_rate'?"),
        ("protocols.demo.learning_rate", KeyError, "config: protocols.demo: key 'learning_rate' is missing. Add it."),
        ("protocols.demo.learning_rate", "fast", "config: protocols.demo.learning_rate: found 'fast'. Give a positive number, such as 0.1."),
        ("protocols.demo.batch_norm", "adopt", "config: protocols.demo.batch_norm: found 'adopt'. Did you mean 'adapt'?"),
        ("experiments.mine.protocol", "dmo", "config: experiments.mine.protocol: no protocol is named 'dmo'. Did you mean 'demo'?"),
        ("experiments.mine.sources.robust", "mini_l3", "experiments.mine.sources.robust: no source is named 'mini_l3'. Did you mean 'mini_l2'?"),
        ("experiments.mine.targets", ["digit"], "experiments.mine.targets: no target is named 'digit'. Did you mean 'digits'?"),
        ("experiments.mine.targets", ["digits", "digits"], "config: experiments.mine.targets: digits is listed twice. Remove one."),
        ("experiments.mine.sources.natural", KeyError, "experiments.mine.sources: found robust, but no 'natural' source to compare with. Add 'natural: NAME'."),
        ("experiments.mine.sources.robust", "mini_natural", "experiments.mine.sources: 'mini_natural' fills two roles. Give each role a source of its own."),
        ("experiments.mine.sources.sturdy", "mini_l2", "experiments.mine.sources: unknown key 'sturdy'. Choose one of: natural, robust, linf_small, linf_large."),
        ("experiments.mine.images", [100, 5000], "experiment 'mine' asks for 5000 images; target 'digits' has 1297 for training. Lower 'images'."),
        ("experiments.mine.images", [5], "experiment 'mine' asks for 5 images; target 'digits' has 10 classes and each needs one. Raise 'images'."),
        ("experiments.mine.images", [100, 100], "config: experiments.mine.images: 100 is listed twice. Remove one."),
        ("experiments.mine.images", ["everything"], "config: experiments.mine.images.0: found 'everything'. Give whole numbers of images or 'all'."),
        ("experiments.mine.seeds", 21, "config: experiments.mine.seeds: found 21, but 'seeds' lists 20. Lower it or list more seeds."),
        ("experiments.mine.seeds", "author", "config: experiments.mine.seeds: no schedule is named 'author'. Did you mean 'authors'?"),
        ("experiments.mine.blocks", [3, 17], "config: experiments.mine.blocks.1: found 17. The networks have 16 blocks; give 0 to 16."),
        ("experiments.mine.fig3", {"images": 200}, "experiments.mine.fig3.images: found 200, which is not a size of every target. Choose one of: 100, 1297."),
        ("experiments.mine.fig3", {"images": 100, "epochs": [2]}, "experiments.mine.fig3.epochs: found 2, which protocol 'demo' does not evaluate at 100 images."),
        ("seed_schedules.mine", [{"seeds": 3}, {"blocks": [3], "seeds": 5}], "seed_schedules.mine: found a step for some cells after step 1, which holds for all. Put the steps with"),
        ("seed_schedules.mine", [{"blocks": [3], "seeds": 5}], "config: seed_schedules.mine: found images_up_to limits []. They must rise, and the last entry must have none."),
        ("seed_schedules.mine", [{"targets": ["digit"], "seeds": 5}, {"seeds": 1}], "seed_schedules.mine.targets: no target is named 'digit'. Did you mean 'digits'?"),
        ("seed_schedules.mine", [{"roles": ["strong"], "seeds": 5}, {"seeds": 1}], "seed_schedules.mine.0.roles.0: found 'strong'."),
        ("seeds_per_job", [{"protocols": ["dmo"], "seeds": 5}, {"seeds": 1}], "seeds_per_job.protocols: no protocol is named 'dmo'. Did you mean 'demo'?"),
        ("seeds_per_job", [{"protocols": ["demo"], "images_up_to": 5, "seeds": 5}, {"seeds": 1}], "seeds_per_job of protocol 'demo': found images_up_to limits [5]."),
        ("targets.digits.shrink_to", 9, "config: targets.digits.shrink_to: found 9; the images have 8 pixels. Lower it, or remove it."),
        ("experiments.mine.resolution", {"pixels": [5], "targets": ["glyphs"]}, "experiments.mine.resolution.targets: found 'glyphs', which is no target of the experiment."),
        ("experiments.mine.resolution", {"pixels": [5], "images": [200]}, "experiments.mine.resolution.images: found 200, which is not a size of every target. Choose one of: 100, 1297."),
        ("experiments.mine.resolution", {"images": [100]}, "config: experiments.mine.resolution: key 'pixels' is missing. Add it."),
        ("seeds", [1, 2, 1], "config: seeds: 1 is listed twice. Remove one."),
        ("sources.mini_linf_small.threat.epsilon", 2, "sources.mini_linf_small.threat.epsilon: found 2 for linf, but pixels lie in [0, 1]. Write 2/255."),
        ("sources.mini_l2.threat.epsilon", "half", "sources.mini_l2.threat.epsilon: found 'half'. Write a number, or a fraction such as 4/255."),
        ("sources.mini_l2.threat.epsilon", 0, "sources.mini_l2.threat.epsilon: found 0. Use a positive radius, or 'threat: null'."),
        ("sources.mini_l2.threat.norm", "l3", "config: sources.mini_l2.threat.norm: found 'l3'. Choose one of: l2, linf."),
        ("sources.mini_l2.kind", "flie", "config: sources.mini_l2.kind: found 'flie'. Did you mean 'file'?"),
        ("sources.mini_l2.path", KeyError, "config: sources.mini_l2: key 'path' is missing. Add it."),
        ("targets.leaves", {"kind": "image_folder"}, "config: targets.leaves: key 'path' is missing. Add it."),
        ("targets.leaves", {"kind": "digits", "path": "x"}, "config: targets.leaves: unknown key 'path'. Choose one of: kind, label, shrink_to."),
        ("targets.leaves", {"kind": "image_folder", "path": "x", "resize": 256, "resolution": 300}, "config: targets.leaves.resize: found 256, with resolution 300. Give a resolution that is not larger"),
        ("targets.leaves", {"kind": "image_folder", "path": "x", "resize": 256}, "config: targets.leaves.resize: found 256, with resolution None."),
        ("targets.my-leaves", {"kind": "digits"}, "my-leaves"),
        ("seed_schedules.paper", [{"seeds": 3}, {"images_up_to": 5, "seeds": 1}], "seed_schedules.paper: found images_up_to limits"),
        ("experiments.mine.figures", {"fig5": {"epoch": "first"}}, "config: experiments.mine.figures.fig5.epoch: found 'first'. Choose one of: last, best."),
        ("experiments.mine.figures", {"table5": {"epoch": "best"}}, "config: experiments.mine.figures: found 'table5'."),
        ("experiments.mine.figures", {"fig2": {"roles": ["robst"]}}, "config: experiments.mine.figures.fig2.roles.0: found 'robst'. Did you mean 'robust'?"),
        ("experiments.mine.figures", {"fig3": {"epoch": "best"}}, "config: experiments.mine.figures.fig3.epoch: found 'best', but this figure is drawn over epochs."),
        ("width_inches", 2, "config: width_inches: found 2. Give the width of a column or page in inches, from 3.25 to 20, such as 5.5."),
        ("estimate_seconds", 0, "config: estimate_seconds: found 0. Give seconds from 1 to 3,600, such as 40."),
        ("width_inches", "wide", "config: width_inches: found 'wide'. Give the width of a column"),
        ("style", {"fig22": {}}, "config: style: found 'fig22'. Did you mean 'fig2'?"),
    ],
)  # fmt: skip
def test_mistakes(config, path, value, message):
    change(config, path, value)
    with pytest.raises(InputError) as error:
        resolved(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # A whole number is written as one: 50.0 would become part of a file's name.
        ("experiments.mine.images", [50.0], "config: experiments.mine.images.0: found 50.0. Give whole numbers of images or 'all'."),
        ("experiments.mine.seeds", 2.0, "config: experiments.mine.seeds: found 2.0. Give how many seeds, up to 1,000, or the name of a schedule."),
        ("experiments.mine.blocks", [3.0], "config: experiments.mine.blocks.0: found 3.0. The networks have 16 blocks; give 0 to 16."),
        ("protocols.demo.batch_size", True, "protocols.demo.batch_size: found True. Give a whole number of images from 2"),
        ("protocols.demo.learning_rate", NAN, "config: protocols.demo.learning_rate: found nan. Give a positive number, such as 0.1."),
        ("protocols.demo.learning_rate", INF, "config: protocols.demo.learning_rate: found inf. Give a positive number"),
        ("protocols.demo.momentum", NAN, "config: protocols.demo.momentum: found nan. Give a number from 0 to below 1, such as 0.9."),
        ("protocols.demo.weight_decay", INF, "config: protocols.demo.weight_decay: found inf. Give a number from 0 to 1,000"),
        ("influence.pinv_rcond", NAN, "config: influence.pinv_rcond: found nan. Give the smallest kept share"),
        ("influence.damping", INF, "config: influence.damping: found inf. Give a number from 0 to 1e12"),
        ("sources.mini_l2.threat.epsilon", NAN, "sources.mini_l2.threat.epsilon: found nan. Give a radius in pixel units [0, 1], such as 0.5 or 4/255."),
        ("sources.mini_l2.threat.epsilon", INF, "sources.mini_l2.threat.epsilon: found inf. Give a radius"),
        ("sources.mini_l2.threat.epsilon", 1e-320, "sources.mini_l2.threat.epsilon: found 1e-320. Give a radius from 1e-06 to 2,000."),
        ("sources.mini_l2.threat.epsilon", "1/" + "9" * 5000, "9999'. Write a number, or a fraction such as 4/255."),
        ("protocols.demo.epochs", [{"epochs": 10**15, "evaluate_every": 1}], "protocols.demo.epochs.0.epochs: found 1000000000000000. Give a whole number of epochs from 1 to 100,000."),
        ("protocols.demo.epochs", [{"epochs": 5, "evaluate_every": 1e308}], "protocols.demo.epochs.0.evaluate_every: found 1e+308. Give a whole number of epochs"),
        ("protocols.demo.epochs", [{"epochs": 9000, "evaluate_every": 1}], "protocols.demo.epochs: found 9000 epochs, evaluated after every 1, more than 1,000 times. Raise 'evaluate_every'."),
        ("seeds", [2**63], "config: seeds.0: found 9223372036854775808. Give a whole number from 0 to 9223372036854775807 (63 bits)."),
        ("seeds", [16**5000], "config: seeds.0: found a number of 20001 bits. Give one of fewer digits."),
        ("seeds", list(range(1001)), "config: seeds: found [0, 1, 2, 3, ...]. Give a list of 1 to 1,000 seeds."),
        ("sources.mini_l2.std", [0, 0, 0], "config: sources.mini_l2.std.0: found 0. Give it for pixels in [0, 1], from 0.001 to 1, such as 0.229"),
        ("sources.mini_l2.mean", [123.7, 116.3, 103.5], "config: sources.mini_l2.mean.0: found 123.7. Give it for pixels in [0, 1], such as 0.485; of values up to 255, divide by 255."),
        ("targets.digits\n", {"kind": "digits"}, "config: targets: found 'digits\\n'. A name becomes part of file names"),
        ("targets." + "a" * 250, {"kind": "digits"}, "A name becomes part of file names: use up to 64 letters"),
        ("targets." + "ab" * 20, {"kind": "digits"}, "and no endless repetition."),
        ("sources.natural.hash", "sha1:0\n", "config: sources.natural.hash: found 'sha1:0\\n'. Give 'sha256:' and 8 to 64"),
        ("sources.natural.file", "../../x", "config: sources.natural.file: found '../../x'. Give a plain file name: up to 100 letters"),
        ("sources.natural.url", "ftp://example.org/x", "Give an address that begins with https:// or http://"),
        ("targets.digits.label", "two\nlines", "config: targets.digits.label: found 'two\\nlines'. Give text of one line of up to 100 characters"),
        ("targets.digits.label", 2020, "config: targets.digits.label: found 2020. Give text of one line of up to 100 characters; a number or a date in quotes."),
        ("style", {"all": {1: 2}}, "config: style.all: the key 1 is no text. Put it in quotes."),
        ("protocols", [], "config: protocols: found []. Give keys with values (key: value)."),
    ],
)  # fmt: skip
def test_values_that_would_fail_later(config, path, value, message):
    """Each was once accepted, and failed after other jobs had run, or with an error of Python's."""
    change(config, path, value)
    with pytest.raises(InputError) as error:
        resolved(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_the_bounds_allow(config):
    """The ends of the ranges: the largest seed, the longest name, an epsilon at either end."""
    config["seeds"] = [2**63 - 1, *range(19)]
    config["experiments"]["mine"]["seeds"] = 2
    config["targets"]["abcdefgh" * 8] = {"kind": "digits", "label": "x" * 100}
    config["experiments"]["mine"]["targets"] = ["abcdefgh" * 8]
    config["sources"]["mini_l2"]["threat"] = {"norm": "l2", "epsilon": 2000}
    config["sources"]["mini_natural"]["threat"] = {"norm": "linf", "epsilon": "1/999999"}
    config["protocols"]["demo"]["epochs"] = [{"epochs": 100_000, "evaluate_every": 100}]
    assert resolved(config)["sizes"] == {"abcdefgh" * 8: [[100, 2], [1297, 2]]}


def test_values_that_never_end(config):
    endless, bomb, deep = [], ["x"], []
    endless.append(endless)
    for _ in range(40):
        bomb = [bomb, bomb]
    for _ in range(900):
        deep = [deep]
    for value, message in (
        (endless, "levels deep"),
        (bomb, "levels deep"),
        (deep, "levels deep"),
        ([[0] * 150] * 150, "values"),
    ):
        changed = copy.deepcopy(config) | {"seeds": value}
        with pytest.raises(InputError, match=f"^config: .*more than [0-9,]+ {message}"):
            resolved(changed)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("robustness.test_data", {"minni": None}, "no family of sources is named 'minni'. Did you mean 'mini'?"),
        ("robustness.test_data.mini", "cifar1000", "no target is named 'cifar1000'. Did you mean 'cifar100'?"),
        ("robustness.epsilons.linf", [4], "robustness.epsilons.linf.epsilon: found 4 for linf.*Write 4/255"),
        ("robustness.attack", "fgsm", "robustness.attack"),
        ("robustness.steps", 0, "robustness.steps"),
        ("experiments.mine.epsilon", {"family": "mni"}, "no family of sources is named 'mni'. Did you mean 'mini'?"),
        (
            "experiments.mine.epsilon",
            {"images": [7]},
            "epsilon.images: found 7, which is not a size of every target. Choose",
        ),
        ("sources.mini_l2.published_accuracy_percent", 101, "Give a percentage"),
        (
            "experiments.published.log",
            "fall",
            "config: experiments.published.log: no log is named 'fall'. Did you mean 'full'?",
        ),
        (
            "experiments.mine.log",
            "full",
            "config: experiments.mine.log: found 'full', but its rows are computed. Remove 'log'",
        ),
        (
            "published.full.hash",
            "md5:0123",
            "config: published.full.hash: found 'md5:0123'. Give 'sha256:' and 64 hexadecimal digits",
        ),
        (
            "published.full.url",
            "https://a.b/consolidated_results.csv",
            "config: published.full.url: found 'consolidated_results.csv', which is the file of published.april.url too.",
        ),
    ],
)
def test_mistakes_about_robustness_and_families(config, path, value, message):
    change(config, path, value)
    with pytest.raises(InputError, match=message) as caught:
        resolved(config)
    assert "\n" not in str(caught.value)


def test_autoattack_has_restarts_of_its_own(config):
    config["robustness"] |= {"attack": "autoattack", "restarts": 3}
    with pytest.raises(InputError, match=r"robustness\.restarts: found 3.*Set it to 1"):
        resolved(config)
