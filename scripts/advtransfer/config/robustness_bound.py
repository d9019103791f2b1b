"""What the study of robustness bounds computes: which networks of an experiment it attacks, and how. No torch here.

The resolved form, a JSON-compatible dict under the key "robustness_bound" of a resolved experiment (see `grid`), null where it has no networks:

    protocol     str, how the networks are trained
    sources      [source]: of the linear probes, by role, then the rest of the experiment's epsilon ladder
    compared     [source]: of which networks with trained blocks are attacked as well
    sizes        {target: training images}
    blocks       [int], ascending, beyond the linear probe's 0
    seeds        [int]
    test_images  int, attacked ones
    attack       {"norm", "epsilons": [[up to this resolution, [radius, ...]], ...], "steps", "restarts", "seed"}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advtransfer.config.grid import chunks
from advtransfer.config.values import UNLIMITED, parse_epsilon
from advtransfer.errors import InputError

ROWS = "results/robustness_bound/{protocol}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.parquet"
# Sources whose fine-tuned blocks are compared with the linear probe.
COMPARED = ("natural", "robust")
NO_NETWORKS = "has no networks to attack: its rows are published"


@dataclass(frozen=True)
class Attacked:
    """The networks that one job attacks: seeds of one source, target and number of trained blocks."""

    source: str
    target: str
    blocks: int
    images: int
    seeds: tuple[int, ...]

    def models(self, protocol: str) -> dict[int, str]:
        """{seed: where its network lies}."""
        cell = f"results/models/{protocol}/{self.source}/{self.target}/blocks{self.blocks}_n{self.images}"
        return {seed: f"{cell}_seed{seed}.safetensors" for seed in self.seeds}


def resolve_robustness_bound(
    config: Mapping[str, Any], experiment: Mapping[str, Any], sources: list[str]
) -> dict[str, Any] | None:
    """The resolved form (see the module) for an experiment, itself resolved; None where its rows are published.

    sources: all that the experiment shows. Raises InputError where a choice does not fit.
    """
    if experiment["rows"] is not None:
        return None
    name = experiment["name"]
    settings = {**config["robustness_bound"], **config["experiments"][name].get("robustness_bound", {})}
    key = f"config: experiments.{name}.robustness_bound"
    if settings["seeds"] > len(config["seeds"]):
        raise InputError(
            f"{key}.seeds: found {settings['seeds']}, but 'seeds' lists {len(config['seeds'])}. Lower it or list more seeds."
        )
    sizes = {}
    for target, pairs in experiment["sizes"].items():
        have = [images for images, _ in pairs]
        sizes[target] = have[-1] if settings["images"] == "largest" else settings["images"]
        if sizes[target] not in have:
            raise InputError(
                f"{key}.images: found {sizes[target]}. Choose one of: {', '.join(map(str, have))}, or 'largest'."
            )
    return {
        "protocol": settings["protocol"],
        "sources": list(sources),
        "compared": [experiment["sources"][role] for role in COMPARED if role in experiment["sources"]],
        "sizes": sizes,
        "blocks": sorted(set(settings["blocks"]) - {0}),
        "seeds": config["seeds"][: settings["seeds"]],
        "test_images": settings["test_images"],
        "attack": {
            "epsilons": [
                [
                    step.get("resolution_up_to", UNLIMITED),
                    sorted(parse_epsilon(epsilon) for epsilon in step["epsilons"]),
                ]
                for step in settings["epsilons"]
            ],
            **{key: settings[key] for key in ("norm", "steps", "restarts", "seed")},
        },
    }


def attacked(experiment: Mapping[str, Any]) -> Iterator[tuple[str, Attacked]]:
    """(file of rows, the networks that its job attacks) of a resolved experiment, the linear probes first; nothing without networks."""
    settings = experiment["robustness_bound"]
    if settings is None:
        return
    for blocks in (0, *settings["blocks"]):
        for source in settings["sources"] if blocks == 0 else settings["compared"]:
            for target, images in settings["sizes"].items():
                # As at the smallest size: these jobs train nothing, and seeds in one job share an attack.
                for first, last in chunks(len(settings["seeds"]), 1, experiment["seeds_per_job"]):
                    cell = {"source": source, "target": target, "blocks": blocks, "images": images}
                    file = ROWS.format(protocol=settings["protocol"], first=first, last=last, **cell)
                    yield file, Attacked(**cell, seeds=tuple(settings["seeds"][first : last + 1]))


def attacked_by(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> Attacked:
    """The networks that the job of a file of rows, given by the wildcards of its path, attacks.

    Raises InputError where the experiment has no such job.
    """
    file = ROWS.format(**wildcards)
    try:
        return dict(attacked(experiment))[file]
    except KeyError:
        raise InputError(
            f"{file}: experiment '{experiment['name']}' attacks no such networks. See 'robustness_bound' in config.yaml."
        ) from None


def attacked_models(experiment: Mapping[str, Any], wildcards: Mapping[str, str]) -> list[str]:
    """Where the networks lie that the job of a file of rows attacks, in the order of their seeds; see `attacked_by`."""
    return list(attacked_by(experiment, wildcards).models(wildcards["protocol"]).values())


def row_settings(experiment: Mapping[str, Any], job: Attacked) -> dict[str, Any]:
    """All that the job of a file of rows is told, JSON-compatible."""
    settings = experiment["robustness_bound"]
    return {
        **{"source": job.source, "target": job.target, "blocks": job.blocks, "images": job.images},
        **{"seeds": list(job.seeds), "test_images": settings["test_images"], "attack": settings["attack"]},
    }


def row_files(experiment: Mapping[str, Any]) -> list[str]:
    """The files of rows that the study's tables are made of. Raises InputError where the experiment has no networks."""
    files = [file for file, _ in attacked(experiment)]
    if not files:
        raise InputError(f"figures/robustness_bound.pdf: experiment '{experiment['name']}' {NO_NETWORKS}.")
    return files
