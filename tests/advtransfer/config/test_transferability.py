"""Which networks the study compares, by default and by choice."""

import pytest

from advtransfer.config import inputs
from advtransfer.config.outputs import listing, wanted_by_default
from advtransfer.config.resolve import experiment_for, experiment_sources
from advtransfer.config.transferability import (
    COMPARISONS,
    compared,
    compared_by,
    compared_files,
    resolve_recipe,
    row_files,
    row_settings,
)
from advtransfer.errors import InputError
from experiments import read_config
from experiments import resolved as resolve


def resolved(name="demo", **choices):
    config = read_config()
    if choices:
        own = config["experiments"][name].get("transferability", {})
        config["experiments"][name]["transferability"] = {**own, **choices}
    return resolve(config, name)


def test_the_authors_radius_and_the_projects_steps_are_the_default():
    """Linf 0.1 at 32 pixels; theirs takes 50 steps or 1, here 20 as everywhere; all training images for the reference."""
    settings = resolved("paper")["transferability"]["networks"]
    (low, small), (_, large) = settings["attack"]["epsilons"]
    assert (low, small, large) == (64, 0.1, 1 / 255)
    assert (settings["attack"]["norm"], settings["attack"]["steps"]) == ("linf", 20)
    assert settings["reference_sizes"]["cifar10"] == 50_000
    assert (settings["recipe"], settings["like"]) == ("scratch", "natural")


def test_every_source_is_compared_on_every_target():
    experiment = resolved()
    jobs = [job for _, job in compared(experiment, "networks")]
    pairs = {(job.source, job.target) for job in jobs}
    assert pairs == {(source, target) for source in experiment_sources(experiment) for target in ("digits", "glyphs")}
    assert len(jobs) == len(pairs) == len(row_files(experiment, "transferability"))
    assert all(len(job.seeds) == 3 for job in jobs)
    sources = {job.source for _, job in compared(resolved("ladder"), "networks")}
    assert len(sources) == 15


def test_probes_are_those_of_the_robustness_bound():
    """Nothing is trained twice: the same protocol, size and seeds in the demo."""
    experiment = resolved()
    bound = experiment["robustness_bound"]
    networks = experiment["transferability"]["networks"]
    assert [networks[key] for key in ("protocol", "sizes", "seeds")] == [
        bound[key] for key in ("protocol", "sizes", "seeds")
    ]


def test_mixtures_hold_more_and_more_of_the_targets_kind():
    config = read_config()
    settings = resolve(config)["transferability"]["controlled"]
    shares = []
    for source in settings["sources"]:
        parts = config["targets"][config["sources"][source]["dataset"]]["parts"]
        counts = {target: len(classes) for target, classes in parts.items()}
        shares.append(counts.get("digits", 0) / sum(counts.values()))
        assert settings["labels"][source] == f"{shares[-1]:.0%} digits"
    assert shares == [0, 0.25, 0.5, 0.75, 1]
    (target,) = settings["sizes"]
    learned = set().union(
        *(
            config["targets"][config["sources"][source]["dataset"]]["parts"].get("digits", [])
            for source in settings["sources"]
        )
    )
    assert not learned & set(config["targets"][target]["parts"]["digits"])
    same = [
        {key: value for key, value in config["sources"][source].items() if key not in ("label", "dataset")}
        for source in settings["sources"]
    ]
    assert all(entry == same[0] for entry in same), "sources differ by what they learn only"
    counts = [inputs.counts_of(config, config["sources"][source]["dataset"]) for source in settings["sources"]]
    assert all(count == counts[0] for count in counts)


def test_what_a_job_reads_and_is_told():
    experiment = resolved(seeds=2, images=50, reference_images=300)
    wildcards = {"comparison": "networks", "protocol": "probe", "source": "mini_l2", "target": "glyphs", "images": "50"}
    wildcards |= {"first": "0", "last": "1"}
    seeds = (20_000_000, 20_100_000)
    assert compared_files(experiment, wildcards) == {
        "source": "results/sources/mini_l2.safetensors",
        "target": "results/targets/glyphs.safetensors",
        "probes": [f"results/models/probe/mini_l2/glyphs/blocks0_n50_seed{seed}.safetensors" for seed in seeds],
        "probe_rows": [f"results/models/probe/mini_l2/glyphs/blocks0_n50_seed{seed}.parquet" for seed in seeds],
        "references": [f"results/references/demo/mini_natural/glyphs/n300_seed{seed}.safetensors" for seed in seeds],
    }
    told = row_settings(experiment, compared_by(experiment, wildcards))
    assert (told["seeds"], told["reference_images"], told["test_images"]) == (list(seeds), 300, 50)
    with pytest.raises(InputError, match="experiment 'demo' compares no such networks"):
        compared_by(experiment, {**wildcards, "comparison": "controlled"})


def test_a_recipe_with_its_seed():
    config = read_config()
    told = resolve_recipe(config, "demo", 7)
    assert told == {**config["reference_networks"]["demo"], "seed": 7}


def test_experiments_without_networks_say_why():
    published, silent = resolved("published"), resolved("slice")
    assert published["transferability"]["networks"] is None
    with pytest.raises(InputError, match="experiment 'published' has no networks to compare: its rows are published"):
        row_files(published, "transferability")
    with pytest.raises(InputError, match=r"experiment 'slice' does not compare its sources .* Add 'transferability'"):
        row_files(silent, "transferability")
    assert len(row_files(published, "transferability_sources")) == 5
    config = read_config()
    lines = listing(config, silent, None)
    (line,) = [line for line in lines if line.startswith("  transferability.pdf ")]
    assert "not here: the experiment does not compare its sources" in line
    (line,) = [line for line in lines if line.startswith("  transferability_sources.pdf ")]
    assert line.endswith(
        "[5 pairs of a source and a target, each with 3 reference networks and up to 100 attacked images]"
    )
    wanted = wanted_by_default(config, published, None)
    assert not [file for file in wanted if file.startswith("figures/transferability")]


def test_other_figures_are_not_redrawn_for_it():
    experiment = resolved()
    assert "transferability" not in experiment_for(experiment, "fig2")
    for figure, comparison in COMPARISONS.items():
        mine = experiment_for(experiment, figure)
        assert mine["transferability"] == experiment["transferability"][comparison]
        assert set(mine["labels"]) == {*mine["transferability"]["sources"], *mine["transferability"]["sizes"]}


@pytest.mark.parametrize(
    ("choice", "finding"),
    [
        ({"images": 60}, "demo.transferability.images: found 60. Choose one of: 50, 100, 200, 400, or 'largest'."),
        ({"seeds": 99}, "demo.transferability.seeds: found 99, but 'seeds' lists 20"),
        (
            {"reference_images": 5},
            "reference_images: found 5; target 'digits' has 1297 images of 10 classes for training.",
        ),
        ({"reference_images": 1500}, "reference_images: found 1500; target 'digits' has 1297 images"),
        ({"protocol": "prob"}, "transferability.protocol: no protocol is named 'prob'. Did you mean 'probe'?"),
        (
            {"recipe": "dmo"},
            "transferability.recipe: no recipe of reference networks is named 'dmo'. Did you mean 'demo'?",
        ),
        ({"epsilons": [{"epsilon": 4}]}, "transferability.epsilons.epsilon: found 4 for linf"),
        ({"epsilons": [{"resolution_up_to": 64, "epsilon": 0.1}]}, "the last entry must have none"),
        ({"epsilon": 0.1}, "unknown key 'epsilon'. Did you mean 'epsilons'?"),
    ],
)
def test_what_does_not_fit_is_refused(choice, finding):
    with pytest.raises(InputError) as error:
        resolved(**choice)
    assert finding in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "finding"),
    [
        ("sources", ["mixd_0"], "transferability.controlled.sources: no source is named 'mixd_0'"),
        ("target", "digit", "transferability.controlled.target: no target is named 'digit'"),
        (
            "images",
            721,
            "controlled.images: found 721; target 'other_digits' has 720 images of 6 classes for training.",
        ),
        ("images", 5, "Give from 6 to 720."),
    ],
)
def test_a_controlled_setting_that_does_not_fit_is_refused(key, value, finding):
    config = read_config()
    config["transferability"]["controlled"][key] = value
    with pytest.raises(InputError) as error:
        resolve(config)
    assert finding in str(error.value)


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ({"parts": {"digit": ["0"]}}, "targets.mixture_0.parts: no target is named 'digit'"),
        ({"parts": {"mixture_25": ["0"]}}, "found 'mixture_25', which is a mixture itself. Give its parts instead."),
        ({"pixels": 33}, "targets.mixture_0.pixels: found 33; the images have 32 pixels."),
        ({"parts": {"glyphs": [1]}}, "targets.mixture_0.parts.glyphs.0: found 1. Give text of one line"),
        ({"parts": {}}, "Give classes of some targets, such as"),
        ({"share": 0.5}, "unknown key 'share'"),
    ],
)
def test_a_mixture_that_does_not_fit_is_refused(entry, finding):
    config = read_config()
    config["targets"]["mixture_0"] = {**config["targets"]["mixture_0"], **entry}
    with pytest.raises(InputError) as error:
        resolve(config)
    assert finding in str(error.value)
