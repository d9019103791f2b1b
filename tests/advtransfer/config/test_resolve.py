"""What jobs are told of an experiment, a protocol, a source."""

import pytest

from advtransfer.config import resolve
from advtransfer.config.grid import cells, transfer_jobs
from advtransfer.config.inputs import experiment_rows
from advtransfer.config.values import parse_epsilon
from advtransfer.errors import InputError
from experiments import counts_of, resolved


def models(experiment):
    return sum(job.models for job in transfer_jobs(experiment).values())


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


def test_a_schedule_gives_some_cells_more_seeds(config):
    config["seed_schedules"]["mine"] = [
        {"roles": ["robust"], "blocks": [3], "images_up_to": 100, "seeds": 20},
        {"targets": ["digits"], "blocks": [3], "seeds": 8},
        {"images_up_to": 100, "seeds": 4},
        {"seeds": 2},
    ]
    config["experiments"]["mine"] |= {
        "seeds": "mine",
        "targets": ["digits", "glyphs"],
        "images": [100, 400],
        "blocks": [1, 3],
    }
    found = {
        (cell.source, cell.target, cell.blocks, cell.images): cell.models
        for figure in ("fig2", "fig4")
        for cell in cells(resolved(config), figure)
    }
    assert found == {
        ("mini_natural", "digits", 3, 100): 8,
        ("mini_natural", "digits", 3, 400): 8,
        ("mini_natural", "glyphs", 3, 100): 4,
        ("mini_natural", "glyphs", 3, 400): 2,
        ("mini_l2", "digits", 3, 100): 20,
        ("mini_l2", "digits", 3, 400): 8,
        ("mini_l2", "glyphs", 3, 100): 20,
        ("mini_l2", "glyphs", 3, 400): 2,
        ("mini_l2", "digits", 1, 100): 4,
        ("mini_l2", "digits", 1, 400): 2,
        ("mini_l2", "glyphs", 1, 100): 4,
        ("mini_l2", "glyphs", 1, 400): 2,
    }


def test_cells_of_no_seeds_are_left_out(config):
    config["seed_schedules"]["mine"] = [
        {"roles": ["robust"], "seeds": 2},
        {"images_up_to": 100, "seeds": 1},
        {"seeds": 0},
    ]
    config["experiments"]["mine"] |= {"seeds": "mine", "images": [100, 400]}
    found = [(cell.source, cell.images, cell.models) for cell in cells(resolved(config), "fig2")]
    assert found == [("mini_natural", 100, 1), ("mini_l2", 100, 2), ("mini_l2", 400, 2)]


def test_a_protocols_own_number_of_seeds_for_a_job(config):
    config["seeds_per_job"] = [
        {"protocols": ["demo"], "seeds": 4},
        {"images_up_to": 100, "seeds": 3, "together": True},
        {"seeds": 1},
    ]
    assert resolved(config)["seeds_per_job"] == [[10**9, 4, False]]
    config["experiments"]["mine"]["protocol"] = "fast"
    assert resolved(config)["seeds_per_job"] == [[100, 3, True], [10**9, 1, False]]


def test_the_targets_of_the_resolution_study(config):
    """Its own targets at their own resolution, whose models figure 2 has too, and shrunk ones with as many seeds."""
    config["seed_schedules"]["mine"] = [{"targets": ["digits"], "seeds": 7}, {"seeds": 2}]
    config["experiments"]["mine"] |= {
        **{"seeds": "mine", "targets": ["digits", "glyphs"], "images": [50, 100]},
        "resolution": {"pixels": [5, 8, 16, 64], "images": [100]},
    }
    experiment = resolved(config)
    assert experiment["resolution"] == {
        "targets": {
            "digits": [[8, "digits"], [5, "digits_5px"]],
            "glyphs": [[32, "glyphs"], [16, "glyphs_16px"], [8, "glyphs_8px"], [5, "glyphs_5px"]],
        },
        "images": [100],
    }
    assert config["targets"]["glyphs_8px"] == {"kind": "glyphs", "shrink_to": 8}
    found = {(cell.target, cell.images): cell.models for cell in cells(experiment, "resolution")}
    assert found == {
        **{("digits", 100): 7, ("digits_5px", 100): 7, ("glyphs", 100): 2},
        **{(f"glyphs_{pixels}px", 100): 2 for pixels in (16, 8, 5)},
    }
    assert set(transfer_jobs(experiment, ["resolution"])) & set(transfer_jobs(experiment, ["fig2"]))
    assert "glyphs_8px" in resolve.resolve_costs(config, experiment, counts_of(config))["targets"]


def test_an_experiment_without_the_resolution_study_has_no_model_of_its_figure(config):
    experiment = resolved(config)
    assert experiment["resolution"] is None
    assert list(cells(experiment, "resolution")) == []
    with pytest.raises(
        InputError, match=r"has no model of resolution, which shrinks the targets' images\. Add 'resolution'"
    ):
        experiment_rows(experiment, "mine", "resolution")


def test_another_target_of_a_shrunk_ones_name_is_refused(config):
    config["experiments"]["mine"]["resolution"] = {"pixels": [5]}
    config["targets"]["digits_5px"] = {"kind": "glyphs"}
    with pytest.raises(InputError, match=r"targets\.digits_5px: this is the name of 'digits' shrunk to 5 pixels"):
        resolved(config)


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
        ("mini_l2_0_25", "l2", 0.25),
        ("mini_l2", "l2", 0.5),
        ("mini_l2_1", "l2", 1.0),
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
