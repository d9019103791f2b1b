"""Which networks the study attacks, by default and by choice."""

import pytest

from advtransfer.config.resolve import experiment_for, experiment_sources
from advtransfer.config.robustness_bound import attacked, attacked_by, attacked_models, row_files, row_settings
from advtransfer.errors import InputError
from experiments import read_config
from experiments import resolved as resolve


def resolved(name="demo", **choices):
    config = read_config()
    if choices:
        own = config["experiments"][name].get("robustness_bound", {})
        config["experiments"][name]["robustness_bound"] = {**own, **choices}
    return resolve(config, name)


def test_the_papers_attack_is_the_default():
    """Linf 4/255 at 32 pixels, 1/255 at 224, 20 steps; smaller radii beside."""
    settings = resolved("paper")["robustness_bound"]
    (low, small), (_, large) = settings["attack"]["epsilons"]
    assert low >= 32
    assert max(small) == 4 / 255
    assert max(large) == 1 / 255
    assert (settings["attack"]["norm"], settings["attack"]["steps"]) == ("linf", 20)
    assert settings["protocol"] == "probe"


def test_every_source_and_target_has_its_probes():
    experiment = resolved()
    jobs = [job for _, job in attacked(experiment)]
    probes = {(job.source, job.target) for job in jobs if job.blocks == 0}
    assert probes == {(source, target) for source in experiment_sources(experiment) for target in ("digits", "glyphs")}
    assert {job.source for job in jobs if job.blocks > 0} == {"mini_natural", "mini_l2"}
    assert {job.images for job in jobs} == {200}
    assert all(len(job.seeds) == 3 for job in jobs)
    assert len(set(row_files(experiment))) == len(jobs)


def test_a_family_is_attacked_as_a_whole():
    experiment = resolved("ladder")
    sources = {job.source for _, job in attacked(experiment) if job.blocks == 0}
    assert len(sources) == 15
    assert sources == set(experiment_sources(experiment))


def test_more_seeds_than_a_job_takes_are_several_jobs():
    config = read_config()
    config["seeds_per_job"] = [{"seeds": 5}]
    config["experiments"]["demo"]["robustness_bound"]["seeds"] = 7
    jobs = [job for _, job in attacked(resolve(config, "demo")) if job.blocks == 0 and job.source == "mini_l2"]
    assert [len(job.seeds) for job in jobs if job.target == "digits"] == [5, 2]


def test_what_a_job_reads_and_is_told():
    experiment = resolved(seeds=2, images=50)
    wildcards = {"protocol": "probe", "source": "mini_l2", "target": "glyphs", "blocks": "3", "images": "50"}
    wildcards |= {"first": "0", "last": "1"}
    assert attacked_models(experiment, wildcards) == [
        f"results/models/probe/mini_l2/glyphs/blocks3_n50_seed{seed}.safetensors" for seed in (20_000_000, 20_100_000)
    ]
    told = row_settings(experiment, attacked_by(experiment, wildcards))
    assert told["seeds"] == [20_000_000, 20_100_000]
    assert told["attack"]["steps"] == 20
    with pytest.raises(InputError, match="experiment 'demo' attacks no such networks"):
        attacked_by(experiment, {**wildcards, "blocks": "9"})


def test_published_rows_have_no_networks():
    experiment = resolved("published")
    assert experiment["robustness_bound"] is None
    assert list(attacked(experiment)) == []
    with pytest.raises(InputError, match="experiment 'published' has no networks to attack: its rows are published"):
        row_files(experiment)


def test_other_figures_are_not_redrawn_for_it():
    experiment = resolved()
    assert "robustness_bound" not in experiment_for(experiment, "fig2")
    assert "robustness_bound" in experiment_for(experiment, "robustness_bound")


@pytest.mark.parametrize(
    ("choice", "finding"),
    [
        ({"images": 60}, "robustness_bound.images: found 60. Choose one of: 50, 100, 200, 400, or 'largest'."),
        ({"seeds": 99}, "robustness_bound.seeds: found 99, but 'seeds' lists 20"),
        ({"protocol": "demoo"}, "robustness_bound.protocol: no protocol is named 'demoo'. Did you mean 'demo'?"),
        ({"protocol": "paper"}, "lets frozen layers adapt while the head trains"),
        ({"epsilons": [{"epsilons": [4]}]}, "robustness_bound.epsilons.epsilon: found 4 for linf"),
        ({"epsilons": [{"resolution_up_to": 64, "epsilons": [0.1]}]}, "the last entry must have none"),
        ({"epsilons": [{"epsilons": []}]}, "Give a list of radii"),
        ({"blocks": [17]}, "found 17. The networks have 16 blocks"),
        ({"norm": "l1"}, "robustness_bound.norm: found 'l1'"),
        ({"step": 3}, "unknown key 'step'"),
    ],
)
def test_what_does_not_fit_is_refused(choice, finding):
    with pytest.raises(InputError) as error:
        resolved(**choice)
    assert finding in str(error.value)


@pytest.mark.parametrize("key", ["steps", "epsilons", "protocol"])
def test_the_defaults_are_complete(key):
    config = read_config()
    del config["robustness_bound"][key]
    with pytest.raises(InputError, match=f"robustness_bound: key '{key}' is missing"):
        resolve(config)
