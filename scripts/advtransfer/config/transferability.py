"""What the study of transferability computes with networks: which sources it compares with which reference networks, and how. No torch here.

A comparison has sources and targets. Each source is compared, on each target, with reference networks that were trained from scratch on the
target; a seed is a linear probe of the source, a reference network and a draw of test images. There are two comparisons, under the key
"transferability" of a resolved experiment (see `grid`): "networks" of the experiment's own sources and targets, null where it has none, and
"controlled" of sources that were trained on mixtures, which is the same for every experiment. Each is a JSON-compatible dict:

    protocol          str, how the linear probes are trained
    sources           [source]
    sizes             {target: training images of the probes}
    seeds             [int]
    recipe            str, how the reference networks are trained: a key of `reference_networks`
    like              str, the source whose architecture and resolution they have
    reference_sizes   {target: training images of the reference networks}
    test_images       int, drawn for each seed
    labels            {source or target: the words a figure shows}
    attack            {"norm", "epsilons": [[up to this resolution, radius], ...], "steps"}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advtransfer.config.grid import chunks
from advtransfer.config.values import UNLIMITED, parse_epsilon
from advtransfer.errors import InputError

ROWS = "results/transferability/{comparison}/{protocol}/{source}/{target}/n{images}/seeds{first}-{last}.parquet"
REFERENCE = "results/references/{recipe}/{source}/{target}/n{images}_seed{seed}.safetensors"
# {figure: the comparison that it shows}.
COMPARISONS = {"transferability": "networks", "transferability_sources": "controlled"}
NO_NETWORKS = "has no networks to compare: its rows are published"
NOT_ASKED = "does not compare its sources with reference networks. Add 'transferability', such as {test_images: 500}, to an experiment that trains"
# Keys of a comparison's settings that jobs are told as they are.
ATTACK = ("norm", "steps")


@dataclass(frozen=True)
class Compared:
    """What one job compares: a source with the reference networks of a target, for some seeds."""

    comparison: str
    source: str
    target: str
    images: int
    seeds: tuple[int, ...]

    def probes(self, protocol: str) -> list[str]:
        """Where the linear probes lie, by seed; their rows lie beside them, with the ending .parquet."""
        cell = f"results/models/{protocol}/{self.source}/{self.target}/blocks0_n{self.images}"
        return [f"{cell}_seed{seed}.safetensors" for seed in self.seeds]

    def probe_rows(self, protocol: str) -> list[str]:
        """The rows of the linear probes, by seed."""
        return [file.replace(".safetensors", ".parquet") for file in self.probes(protocol)]

    def references(self, settings: Mapping[str, Any]) -> list[str]:
        """Where the reference networks lie, by seed; settings: of the comparison."""
        cell = {"recipe": settings["recipe"], "source": settings["like"], "target": self.target}
        images = settings["reference_sizes"][self.target]
        return [REFERENCE.format(**cell, images=images, seed=seed) for seed in self.seeds]


def resolve_networks(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    sources: list[str],
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, Any] | None:
    """The comparison "networks" of an experiment, itself resolved; None where it asks for none, or its rows are published.

    sources: all that the experiment shows. counts: as `resolve.resolve_experiment` takes them. Raises InputError where a choice does not fit.
    """
    name = experiment["name"]
    own = config["experiments"][name].get("transferability")
    if experiment["rows"] is not None or own is None:
        return None
    settings = {**config["transferability"]["networks"], **own}
    key = f"config: experiments.{name}.transferability"
    sizes = {}
    for target, pairs in experiment["sizes"].items():
        have = [images for images, _ in pairs]
        sizes[target] = have[-1] if settings["images"] == "largest" else settings["images"]
        if sizes[target] not in have:
            raise InputError(
                f"{key}.images: found {sizes[target]}. Choose one of: {', '.join(map(str, have))}, or 'largest'."
            )
    return _resolve(config, settings, list(sources), experiment["sources"]["natural"], sizes, counts, key)


def resolve_controlled(config: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The comparison "controlled"; counts: of its target among others. Raises InputError where a choice does not fit."""
    chosen = config["transferability"]["controlled"]
    settings = {**config["transferability"]["networks"], **chosen}
    target, key = chosen["target"], "config: transferability.controlled"
    have, classes = counts[target]["train"], counts[target]["classes"]
    if not classes <= chosen["images"] <= have:
        raise InputError(
            f"{key}.images: found {chosen['images']}; target '{target}' has {have} images of {classes} classes for training. "
            f"Give from {classes} to {have}."
        )
    sources = list(chosen["sources"])
    return _resolve(config, settings, sources, sources[0], {target: chosen["images"]}, counts, key)


def controlled_target(config: Mapping[str, Any]) -> str:
    """The target of the comparison "controlled"."""
    return config["transferability"]["controlled"]["target"]


def _resolve(
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    sources: list[str],
    like: str,
    sizes: Mapping[str, int],
    counts: Mapping[str, Mapping[str, int]],
    key: str,
) -> dict[str, Any]:
    if settings["seeds"] > len(config["seeds"]):
        raise InputError(
            f"{key}.seeds: found {settings['seeds']}, but 'seeds' lists {len(config['seeds'])}. Lower it or list more seeds."
        )
    reference_sizes = {}
    for target in sizes:
        have, classes = counts[target]["train"], counts[target]["classes"]
        wanted = settings["reference_images"]
        reference_sizes[target] = have if wanted == "all" else wanted
        if not classes <= reference_sizes[target] <= have:
            raise InputError(
                f"{key}.reference_images: found {wanted}; target '{target}' has {have} images of {classes} classes for training. "
                f"Give from {classes} to {have}, or 'all'."
            )
    return {
        "protocol": settings["protocol"],
        "sources": sources,
        "sizes": dict(sizes),
        "seeds": config["seeds"][: settings["seeds"]],
        "recipe": settings["recipe"],
        "like": like,
        "reference_sizes": reference_sizes,
        "test_images": settings["test_images"],
        "attack": {
            "epsilons": [
                [step.get("resolution_up_to", UNLIMITED), parse_epsilon(step["epsilon"])]
                for step in settings["epsilons"]
            ],
            **{name: settings[name] for name in ATTACK},
        },
    }


def resolve_recipe(config: Mapping[str, Any], recipe: str, seed: int) -> dict[str, Any]:
    """All that the job of a reference network is told of its training, JSON-compatible."""
    return {**config["reference_networks"][recipe], "seed": seed}


def compared(experiment: Mapping[str, Any], comparison: str) -> Iterator[tuple[str, Compared]]:
    """(file of rows, what its job compares) of a comparison of a resolved experiment; nothing where it has none."""
    settings = experiment["transferability"][comparison]
    if settings is None:
        return
    for source in settings["sources"]:
        for target, images in settings["sizes"].items():
            # As at the smallest size: these jobs train nothing.
            for first, last in chunks(len(settings["seeds"]), 1, experiment["seeds_per_job"]):
                cell = {"comparison": comparison, "source": source, "target": target, "images": images}
                file = ROWS.format(protocol=settings["protocol"], first=first, last=last, **cell)
                yield file, Compared(**cell, seeds=tuple(settings["seeds"][first : last + 1]))


def compared_by(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> Compared:
    """What the job of a file of rows, given by the wildcards of its path, compares.

    Raises InputError where the experiment has no such job.
    """
    file = ROWS.format(**wildcards)
    try:
        return dict(compared(experiment, wildcards["comparison"]))[file]
    except KeyError:
        raise InputError(
            f"{file}: experiment '{experiment['name']}' compares no such networks. See 'transferability' in config.yaml."
        ) from None


def compared_files(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> dict[str, Any]:
    """What the job of a file of rows reads, by the rule's names: see `compared_by`."""
    job = compared_by(experiment, wildcards)
    return {
        "source": f"results/sources/{job.source}.safetensors",
        "target": f"results/targets/{job.target}.safetensors",
        "probes": job.probes(wildcards["protocol"]),
        "probe_rows": job.probe_rows(wildcards["protocol"]),
        "references": job.references(experiment["transferability"][job.comparison]),
    }


def row_settings(experiment: Mapping[str, Any], job: Compared) -> dict[str, Any]:
    """All that the job of a file of rows is told, JSON-compatible."""
    settings = experiment["transferability"][job.comparison]
    return {
        **{"source": job.source, "target": job.target, "images": job.images, "seeds": list(job.seeds)},
        "reference_images": settings["reference_sizes"][job.target],
        **{"test_images": settings["test_images"], "attack": settings["attack"]},
    }


def missing(experiment: Mapping[str, Any], figure: str) -> str:
    """Why an experiment has no networks to compare for a figure, in words that follow "the experiment"; empty where it has some."""
    if experiment["transferability"][COMPARISONS[figure]] is not None:
        return ""
    return NO_NETWORKS if experiment["rows"] else NOT_ASKED


def row_files(experiment: Mapping[str, Any], figure: str) -> list[str]:
    """The files of rows that a figure's table is made of. Raises InputError where the experiment has no networks to compare."""
    words = missing(experiment, figure)
    if words:
        raise InputError(f"figures/{figure}.pdf: experiment '{experiment['name']}' {words}.")
    return [file for file, _ in compared(experiment, COMPARISONS[figure])]
