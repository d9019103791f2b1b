"""What jobs are told of an experiment, a protocol, a source."""

import pytest

from advtransfer.config import resolve
from advtransfer.config.grid import transfer_jobs
from advtransfer.config.values import parse_epsilon
from advtransfer.errors import InputError
from experiments import resolved


def models(experiment):
    return sum(seeds for _, seeds in transfer_jobs(experiment).values())


def test_the_papers_grid_has_12576_models_and_the_authors_7776(config):
    """Table 2, and the authors' logs (docs/protocol.md)."""
    config["experiment"] = "paper"
    assert models(resolved(config)) == 12_576
    config["experiments"]["paper"]["seeds"] = "authors"
    assert models(resolved(config)) == 7_776


def test_sizes_and_seeds_of_the_paper(config):
    config["experiment"] = "paper"
    sizes = resolved(config)["sizes"]
    few = [[100 * 2**i, 20] for i in range(5)] + [[3200, 10], [6400, 10], [12800, 5], [25600, 5]]
    assert sizes["cifar100"] == [*few, [50_000, 1]]
    assert sizes["svhn"] == [*few, [73_257, 1]]


def test_protocol_by_size(config):
    """100 epochs up to 1,600 images, else 150; evaluated every 20 or every 10 epochs (protocol, authors' run)."""
    small = resolve.resolve_protocol(config, "paper", 1600)
    large = resolve.resolve_protocol(config, "paper", 3200)
    assert small["evaluated_epochs"] == [1, 21, 41, 61, 81, 100]
    assert large["evaluated_epochs"] == [*range(1, 150, 10), 150]
    assert (small["epochs"], large["epochs"]) == (100, 150)


def test_fig3_without_a_choice_shows_the_largest_common_size_at_all_evaluated_epochs(config):
    experiment = resolved(config)
    evaluated = resolve.resolve_protocol(config, "demo", 1297)["evaluated_epochs"]
    assert experiment["fig3"] == {"images": 1297, "epochs": evaluated}


@pytest.mark.parametrize(("text", "value"), [("4/255", 4 / 255), (3, 3.0), (0.5, 0.5), ("0.5/255", 0.5 / 255)])
def test_epsilon(text, value):
    assert parse_epsilon(text) == value


@pytest.mark.parametrize("text", ["4/0", "4/255px", "-1/255", "eps"])
def test_epsilon_refused(text):
    with pytest.raises(InputError, match="Write a number"):
        parse_epsilon(text)


def test_labels(config):
    assert resolved(config)["labels"] == {"mini_natural": "natural", "mini_l2": "L2, ε = 0.5", "digits": "digits"}
    assert resolve.source_label(config["sources"]["linf_4"]) == "L∞, ε = 4/255"
    assert resolve.source_label({"threat": None, "label": "mine"}) == "mine"


def test_the_epsilon_ladder_begins_with_the_familys_natural_source(config):
    config["experiments"]["mine"]["epsilon"] = {"family": "mini"}
    ladder = resolved(config)["epsilon"]
    assert [(rung["source"], rung["norm"], rung["epsilon"]) for rung in ladder["sources"]] == [
        ("mini_natural", None, 0.0),
        ("mini_l2", "l2", 0.5),
        ("mini_linf_small", "linf", 2 / 255),
        ("mini_linf_large", "linf", 4 / 255),
    ]
    assert ladder["images"] == [100, 1297]
    config["experiments"]["mine"]["epsilon"] = {"images": [100]}
    assert resolved(config)["epsilon"]["images"] == [100]


def test_a_family_has_one_natural_source(config):
    config["experiments"]["mine"]["epsilon"] = {"family": "mini"}
    config["sources"]["mini_l2"]["threat"] = None
    with pytest.raises(InputError, match="'mini' has 2 natural sources"):
        resolved(config)
    del config["experiments"]["mine"]["epsilon"]
    assert [rung["source"] for rung in resolved(config)["epsilon"]["sources"]] == ["mini_natural"]


def test_without_a_family_the_ladder_is_the_experiments_own_sources(config):
    assert [rung["source"] for rung in resolved(config)["epsilon"]["sources"]] == ["mini_natural", "mini_l2"]


def test_a_figure_is_told_its_own_settings_only(config):
    experiment = resolved(config)
    other = {**experiment, "epsilon": {**experiment["epsilon"], "images": [1]}, "fig3": {"images": 1, "epochs": [1]}}
    assert resolve.experiment_for(experiment, "fig2") == resolve.experiment_for(other, "fig2")
    for figure in ("fig3", "epsilon", "source_robustness"):
        assert resolve.experiment_for(experiment, figure) != resolve.experiment_for(other, figure)


def test_robustness_is_measured_at_the_sources_own_epsilon_too(config):
    config["robustness"]["epsilons"] = {"l2": [1], "linf": ["4/255"]}
    found = resolve.resolve_robustness(config, "mini_l2")["threats"]
    assert found == [
        {"norm": "l2", "epsilon": 0.5},
        {"norm": "l2", "epsilon": 1.0},
        {"norm": "linf", "epsilon": 4 / 255},
    ]
    assert len(resolve.resolve_robustness(config, "mini_linf_large")["threats"]) == 2
