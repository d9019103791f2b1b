"""What figures 1 and 6 to 8 look into, by default and by choice."""

import pytest

from advtransfer.config.inspection import influence_settings, model_file, resolve_inspection, row_settings
from advtransfer.errors import InputError
from experiments import counts_of, read_config
from experiments import resolved as resolve


def resolved(name, **changes):
    config = read_config()
    config["experiments"][name] |= changes
    experiment = resolve(config, name)
    return resolve_inspection(config, experiment, counts_of(config))


def test_the_papers_setting():
    found = resolved("paper")["influence"]
    assert (found["target"], found["images"], found["blocks"], found["test_images"]) == ("cifar10", 3200, 3, 10_000)
    assert found["sources"] == {"natural": "natural", "robust": "l2_3"}
    assert (found["pinv_rcond"], found["damping"], found["seed"]) == (0.05, 0, 20_000_000)
    # Its script's head and cut.
    assert influence_settings(found) == {"head": "fine_tuned", "pinv_rcond": 0.05, "damping": 0}
    assert influence_settings(resolved("slice")["influence"])["head"] == "fine_tuned"
    drawn = resolved("paper")["visualisation"]
    assert (drawn["blocks"], drawn["steps"], drawn["step_size"]) == (0, 1000, 2)


def test_without_the_papers_the_first_target_at_its_largest_size():
    found = resolved("demo")["influence"]
    assert (found["target"], found["images"]) == ("digits", 200)


def test_others_take_the_head_that_predicts_retraining():
    """docs/influence.md: chosen on MNIST by a rule that was written down before."""
    found = resolved("demo")
    assert influence_settings(found["influence"]) == {"head": "refitted", "ridge": 1, "damping": 0}
    assert found["influence"]["seeds"] == [20_000_000, 20_100_000, 20_200_000]
    cut = found["influence_cut"]
    assert (cut["halves"], len(cut["cuts"]), cut["ridge"]) == (100, 9, 1)
    assert cut["cuts"] == sorted(cut["cuts"], reverse=True)
    assert cut["dampings"] == sorted(cut["dampings"])


def test_an_experiment_sets_head_and_seeds_for_itself():
    own = {"head": "fine_tuned", "damping": 3, "seeds": 2, "ridge": 5}
    found = resolved("demo", influence=own)
    assert influence_settings(found["influence"]) == {"head": "fine_tuned", "pinv_rcond": 0.05, "damping": 3}
    assert found["influence"]["seeds"] == [20_000_000, 20_100_000]
    assert row_settings(found["influence_cut"], "mini_l2", 20_100_000) | {"cuts": [], "dampings": []} == {
        **{"source": "mini_l2", "target": "digits", "blocks": 3, "images": 400, "seed": 20_100_000},
        **{"ridge": 5, "halves": 100, "cuts": [], "dampings": []},
    }
    with pytest.raises(InputError, match=r"experiments\.demo\.influence\.seeds: found 21, but 'seeds' lists 20"):
        resolved("demo", influence={"seeds": 21})


def test_choices():
    found = resolved("demo", influence={"target": "glyphs", "images": 100, "blocks": 1, "test_images": 7})["influence"]
    assert (found["target"], found["images"], found["blocks"], found["test_images"]) == ("glyphs", 100, 1, 7)
    assert model_file("demo", found, "robust", "results/features") == (
        "results/features/demo/mini_l2/glyphs/blocks1_n100_seed20000000.safetensors"
    )
    assert resolved("demo", visualisation={"units": [3, 5]})["visualisation"]["units"] == [3, 5]


@pytest.mark.parametrize(
    ("choice", "finding"),
    [
        ({"target": "mnist"}, "influence.target: found 'mnist'. Choose one of: digits, glyphs."),
        ({"images": 55}, "influence.images: found 55. Choose one of: 50, 100, 200, 400."),
        ({"blocks": 17}, "experiments.demo.influence.blocks: found 17. The networks have 16 blocks"),
    ],
)
def test_what_does_not_fit_is_refused(choice, finding):
    with pytest.raises(InputError, match=finding.replace(".", r"\.")):
        resolved("demo", influence=choice)


def test_experiments_without_networks_of_both_kinds_have_none():
    assert resolved("published") is None
    assert resolved("demo", sources={"natural": "mini_natural"}) is None
