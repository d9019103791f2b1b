"""How much the companion studies of an experiment train and compute besides the grid of fine-tuned models. No torch here."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from advtransfer.config import nonrobustness, robustness_bound, transferability


class Work(NamedTuple):
    """What a study of an experiment has to make, and how much of it does not exist: networks, and jobs that measure them.

    Networks that studies share count in each.
    """

    study: str
    networks: int
    networks_left: int
    jobs: int
    jobs_left: int


def work(experiment: Mapping[str, Any]) -> Iterator[Work]:
    """The studies that a resolved experiment (see `grid`) asks for; a file counts as made where it exists."""
    for study, (networks, jobs) in _files(experiment).items():
        if jobs:
            yield Work(study, len(networks), _missing(file for file, _ in networks), len(jobs), _missing(jobs))


def _missing(files: Any) -> int:
    return sum(not Path(file).is_file() for file in files)


def _files(experiment: Mapping[str, Any]) -> dict[str, tuple[set[tuple[str, int]], list[str]]]:
    """{study: ({(file, seed) of each network}, files of rows)}."""
    bound, settings = list(robustness_bound.attacked(experiment)), experiment["robustness_bound"]
    networks = {(file, seed) for _, job in bound for seed, file in job.models(settings["protocol"]).items()}
    found = {"robustness_bound": (networks, [file for file, _ in bound])}
    for figure, comparison in transferability.COMPARISONS.items():
        settings, networks, jobs = experiment["transferability"][comparison], set(), []
        for rows, job in transferability.compared(experiment, comparison):
            jobs.append(rows)
            for files in (job.probes(settings["protocol"]), job.references(settings)):
                networks |= set(zip(files, job.seeds, strict=True))
        found[figure] = (networks, jobs)
    arms = list(nonrobustness.attacked(experiment))
    networks = {(file, seed) for _, job in arms for seed, file in job.models().items()}
    found["nonrobustness"] = (networks, [file for file, _ in [*arms, *nonrobustness.compared(experiment)]])
    return found
