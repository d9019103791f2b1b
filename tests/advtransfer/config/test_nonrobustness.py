"""Which networks the study of non-robustness attacks, and what is refused."""

from pathlib import Path

import pytest

from advtransfer.config.nonrobustness import (
    FIGURES,
    attacked,
    attacked_by,
    attacked_models,
    missing,
    row_files,
    row_settings,
    trained,
    trained_by,
)
from advtransfer.config.resolve import experiment_for
from advtransfer.errors import InputError
from experiments import read_config
from experiments import resolved as resolve


def resolved(name="demo", **choices):
    config = read_config()
    if choices:
        own = config["experiments"][name].get("nonrobustness", {})
        config["experiments"][name]["nonrobustness"] = {**own, **choices}
    return resolve(config, name)


def test_the_arms_of_the_demo():
    experiment = resolved()
    arms = {(job.arm, job.source, job.way) for _, job in attacked(experiment, *FIGURES["nonrobustness"])}
    assert arms == {
        ("standard", "mini_natural", "demo_few"),
        *(("fine_tuned", source, "demo_whole") for source in experiment["sources"].values()),
        *(("mitigated", "mini_natural", f"demo_mitigated_{beta}") for beta in (4, 256, 1024)),
    }
    files = row_files(experiment, "nonrobustness")
    assert len(files) == len(set(files)) == 8
    assert list(experiment["nonrobustness"]["mitigated"]) == [f"demo_mitigated_{beta}" for beta in (4, 256, 1024)]


def test_standard_networks_see_the_same_images():
    jobs = [job for _, job in attacked(resolved())]
    files = {file for job in jobs if job.arm == "standard" for file in job.models().values()}
    assert "results/references/demo_few/mini_natural/digits/n100_seed20000000.safetensors" in files
    assert {job.images for job in jobs if job.part != "curve"} == {100}


def test_figure_2_is_attacked_at_its_sizes_and_one_radius():
    experiment = resolved()
    jobs = [job for _, job in attacked(experiment, "curve")]
    assert {job.images for job in jobs} == {50, 100, 200, 400}
    assert {(job.source, job.way, job.blocks) for job in jobs} == {
        ("mini_natural", "demo", 3),
        ("mini_l2", "demo", 3),
    }
    told = row_settings(experiment, jobs[0])
    assert told["attack"]["epsilons"] == [1 / 255]
    assert told["autoattack_images"] == 0


def test_what_a_job_reads_and_is_told():
    experiment = resolved(autoattack_images=7)
    wildcards = {"part": "fine_tuned", "way": "demo_mitigated_256", "source": "mini_natural", "target": "digits"}
    wildcards |= {"trained": "blocks16", "images": "100", "first": "0", "last": "2"}
    assert attacked_models(experiment, wildcards)[1] == (
        "results/nonrobustness_networks/demo_mitigated_256/mini_natural/digits/blocks16_n100/seeds0-2.safetensors"
    )
    told = row_settings(experiment, attacked_by(experiment, wildcards))
    assert (told["arm"], told["beta"], told["autoattack_images"]) == ("mitigated", 256.0, 7)
    assert told["attack"]["epsilons"] == [0.5 / 255, 1 / 255, 2 / 255, 4 / 255, 8 / 255]
    assert (told["attack"]["steps"], told["attack"]["restarts"]) == (20, 3)
    with pytest.raises(InputError, match="experiment 'demo' attacks no such networks"):
        attacked_by(experiment, {**wildcards, "trained": "blocks9"})


def test_jobs_train_each_network_once():
    """Every fine-tuned network that is attacked is in the file of one job, in jobs that the number of images cuts."""
    experiment = resolved(seeds=3)
    experiment["seeds_per_job"] = [[100, 2, False], [10**9, 1, False]]
    jobs = dict(trained(experiment))
    made = [(file, seed) for file, job in jobs.items() for seed in job.seeds]
    asked = [
        (file, seed) for _, job in attacked(experiment) if job.part != "standard" for seed, file in job.models().items()
    ]
    assert sorted(made) == sorted(set(made)) == sorted(asked)
    assert {(job.images, len(job.seeds)) for job in jobs.values()} == {
        (50, 2),
        (50, 1),
        (100, 2),
        (100, 1),
        (200, 1),
        (400, 1),
    }
    for file, job in jobs.items():
        path = Path(file)
        cell = {"way": job.protocol, "source": job.source, "target": job.target, "blocks": job.blocks}
        first, last = path.stem.removeprefix("seeds").split("-")
        assert trained_by(experiment, {**cell, "images": job.images, "first": first, "last": last}) == job
        assert job.told({"epochs": 7})["seeds"] == experiment["nonrobustness"]["seeds"][int(first) : int(last) + 1]
    with pytest.raises(InputError, match="experiment 'demo' fine-tunes no such networks"):
        trained_by(experiment, {**cell, "images": 60, "first": 0, "last": 0})


def test_autoattack_is_a_choice_of_its_own_experiment():
    """As it stands in config.yaml: at least 200 images of each network, the arms of the demo's first seed."""
    asked = resolved("demo_autoattack")
    jobs = [job for _, job in attacked(asked, "standard", "fine_tuned")]
    assert {len(job.seeds) for job in jobs} == {1}
    assert {(job.arm, job.source) for job in jobs} == {
        ("standard", "mini_natural"),
        ("fine_tuned", "mini_natural"),
        ("fine_tuned", "mini_l2"),
        ("mitigated", "mini_natural"),
    }
    assert {job.way for job in jobs} <= {job.way for _, job in attacked(resolved())}
    told = [row_settings(asked, job) for job in jobs]
    assert all(one["autoattack_images"] == one["test_images"] == 200 for one in told)
    assert all(row_settings(resolved(), job)["autoattack_images"] == 0 for _, job in attacked(resolved()))


def test_targets_can_be_chosen():
    chosen = resolved(targets=["glyphs"])
    assert {job.target for _, job in attacked(chosen, "fine_tuned", "standard")} == {"glyphs"}
    assert {job.target for _, job in attacked(chosen, "curve")} == {"digits", "glyphs"}
    everywhere = resolved(targets="all")
    assert {job.target for _, job in attacked(everywhere, "fine_tuned", "standard")} == {"digits", "glyphs"}


def test_who_does_not_ask_has_none():
    for name, words in (("slice", "does not ask for it"), ("published", "its rows are published")):
        experiment = resolved(name)
        assert experiment["nonrobustness"] is None
        assert list(attacked(experiment)) == []
        assert words in missing(experiment)
        with pytest.raises(InputError, match=f"experiment '{name}' .*{words}"):
            row_files(experiment, "nonrobustness")
    assert resolved("slice", test_images=10)["nonrobustness"]["mitigated"].keys() == {"paper_mitigated"}


def test_other_figures_are_not_redrawn_for_it():
    experiment = resolved()
    assert "nonrobustness" not in experiment_for(experiment, "fig2")
    assert all("nonrobustness" in experiment_for(experiment, figure) for figure in FIGURES)


@pytest.mark.parametrize(
    ("choice", "finding"),
    [
        ({"images": 60}, "nonrobustness.images: found 60. Choose one of: 50, 100, 200, 400, or 'largest'."),
        (
            {"targets": ["digit"]},
            "nonrobustness.targets: no target of the experiment is named 'digit'. Did you mean 'digits'?",
        ),
        ({"targets": []}, "Give a list of targets or 'all'."),
        ({"seeds": 99}, "nonrobustness.seeds: found 99, but 'seeds' lists 20"),
        ({"protocol": "demoo"}, "nonrobustness.protocol: no protocol is named 'demoo'. Did you mean 'demo'?"),
        ({"protocol": "demo_mitigated_4"}, "'demo_mitigated_4' has mitigation itself. Give the plain protocol"),
        ({"mitigated": ["demo"]}, "nonrobustness.mitigated: 'demo' has no mitigation."),
        ({"protocol": "demo"}, "'demo_mitigated_4' differs from 'demo' in 'learning_rate' too"),
        ({"recipe": "scrach"}, "nonrobustness.recipe: no recipe of reference networks is named 'scrach'."),
        ({"epsilons": [4]}, "nonrobustness.epsilons: found 4. Give Linf radii above 0 and up to 1"),
        ({"epsilons": []}, "Give a list of radii"),
        ({"shown": "3/255"}, "nonrobustness.shown: found 3/255, which is not among 'epsilons'"),
        ({"blocks": 17}, "found 17. The networks have 16 blocks"),
        ({"autoattack_images": -1}, "found -1. Give a number of images; 0 is none."),
        ({"step": 3}, "unknown key 'step'"),
    ],
)
def test_what_does_not_fit_is_refused(choice, finding):
    with pytest.raises(InputError) as error:
        resolved(**choice)
    assert finding in str(error.value)
