"""Every mistake in the configuration is one line that names the key, the finding and the remedy."""

import copy

import pytest

from advtransfer.errors import InputError
from experiments import read_config, resolved

MINE = {
    "protocol": "demo",
    "sources": {"natural": "mini_natural", "robust": "mini_l2"},
    "targets": ["digits"],
    "images": [100, "all"],
    "seeds": 5,
    "blocks": [3],
}


@pytest.fixture
def config():
    content = read_config()
    content["experiments"]["mine"] = copy.deepcopy(MINE)
    content["experiment"] = "mine"
    return content


def change(config, path, value):
    *parents, last = path.split(".")
    for key in parents:
        config = config[key]
    if value is KeyError:
        del config[last]
    else:
        config[last] = value


def test_the_projects_own_configuration_is_right(config):
    for experiment in ("demo", "published", "published_full", "slice", "paper", "ladder", "mine"):
        config["experiment"] = experiment
        assert resolved(config)["name"] == experiment


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experiment", "papr", "config: experiment: no experiment is named 'papr'. Did you mean 'paper'?"),
        ("experiment", "xyz", "no experiment is named 'xyz'. Choose one of: demo, published, published_full, slice, paper, ladder, mine."),
        ("sorces", {}, "config: top level: unknown key 'sorces'. Did you mean 'sources'?"),
        ("protocols.demo.learning_rte", 0.1, "config: protocols.demo: unknown key 'learning_rte'. Did you mean 'learning_rate'?"),
        ("protocols.demo.learning_rate", KeyError, "config: protocols.demo: key 'learning_rate' is missing. Add it."),
        ("protocols.demo.learning_rate", "fast", "config: protocols.demo.learning_rate: found 'fast'. Give a positive number."),
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
        ("seeds", [1, 2, 1], "config: seeds: 1 is listed twice. Remove one."),
        ("sources.mini_linf_small.threat.epsilon", 2, "sources.mini_linf_small.threat.epsilon: found 2 for linf, but pixels lie in [0, 1]. Write 2/255."),
        ("sources.mini_l2.threat.epsilon", "half", "sources.mini_l2.threat.epsilon: found 'half'. Write a number, or a fraction such as 4/255."),
        ("sources.mini_l2.threat.epsilon", 0, "sources.mini_l2.threat.epsilon: found 0. Use a positive radius, or 'threat: null'."),
        ("sources.mini_l2.threat.norm", "l3", "config: sources.mini_l2.threat.norm: found 'l3'. Choose one of: l2, linf."),
        ("sources.mini_l2.kind", "flie", "config: sources.mini_l2.kind: found 'flie'. Did you mean 'file'?"),
        ("sources.mini_l2.path", KeyError, "config: sources.mini_l2: key 'path' is missing. Add it."),
        ("targets.leaves", {"kind": "image_folder"}, "config: targets.leaves: key 'path' is missing. Add it."),
        ("targets.leaves", {"kind": "digits", "path": "x"}, "config: targets.leaves: unknown key 'path'. Choose one of: kind, label."),
        ("targets.leaves", {"kind": "image_folder", "path": "x", "resize": 256, "resolution": 300}, "config: targets.leaves.resize: found 256, with resolution 300. Give a resolution that is not larger"),
        ("targets.leaves", {"kind": "image_folder", "path": "x", "resize": 256}, "config: targets.leaves.resize: found 256, with resolution None."),
        ("targets.my-leaves", {"kind": "digits"}, "my-leaves"),
        ("seed_schedules.paper", [{"seeds": 3}, {"images_up_to": 5, "seeds": 1}], "seed_schedules.paper: found images_up_to limits"),
        ("experiments.mine.figures", {"fig5": {"epoch": "first"}}, "config: experiments.mine.figures.fig5.epoch: found 'first'. Choose one of: last, best."),
        ("experiments.mine.figures", {"table5": {"epoch": "best"}}, "config: experiments.mine.figures: found 'table5'."),
        ("experiments.mine.figures", {"fig2": {"roles": ["robst"]}}, "config: experiments.mine.figures.fig2.roles.0: found 'robst'. Did you mean 'robust'?"),
        ("experiments.mine.figures", {"fig3": {"epoch": "best"}}, "config: experiments.mine.figures.fig3.epoch: found 'best', but this figure is drawn over epochs."),
        ("style", {"fig22": {}}, "config: style: found 'fig22'. Did you mean 'fig2'?"),
    ],
)  # fmt: skip
def test_mistakes(config, path, value, message):
    change(config, path, value)
    with pytest.raises(InputError) as error:
        resolved(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


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
