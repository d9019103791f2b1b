"""The grid of fine-tuned models: which cells an experiment has, which a figure draws, and where their rows lie.

An experiment is used in its resolved form, a JSON-compatible dict made by `resolve.resolve_experiment`:

    name, protocol      str
    sources             {role: source}, roles out of `catalogue.ROLES`
    targets             [target], in drawing order
    labels              {source or target: the words a figure shows}
    sizes               {target: [[images, models], ...]}, ascending; models is the number of seeds of cells that `cell_seeds` does not name
    cell_seeds          [{"seeds", "images_up_to", and of "sources", "targets", "blocks" those that limit it}, ...]: numbers of seeds for
                        some cells; the first that fits one counts
    epochs              {number of images, as text: the protocol's epochs}
    blocks              [int], ascending
    fig3                {"images": int, "epochs": [int, ...]}
    epsilon             {"sources": [{"source": str, "norm": str or null, "epsilon": float}, ...], "images": [int, ...]};
                        the natural source has norm null and epsilon 0
    resolution          {"targets": {target: [[pixels, target of that resolution], ...]}, "images": [int, ...]}, or null; see `resolution`
    figures             {name: {"roles", "blocks", "x", "differences", "panels", "epoch", "printed"}}: see `catalogue.Selection`; what is drawn from rows
    robustness_bound    see `config.robustness_bound`, or null
    transferability     {"networks", "controlled"}: see `config.transferability`; "networks" may be null
    nonrobustness       see `config.nonrobustness`, or null
    bands               "t" or "bootstrap", see `tables.intervals`
    rows                path of one file that holds all rows, or null where every chunk of seeds has a file of its own
    seeds_per_job       [[up to images, seeds, whether all sizes of the step share jobs], ...]
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """All models of one source, target, block count and number of images."""

    source: str
    target: str
    blocks: int
    images: int
    models: int


def cells(experiment: dict[str, Any], figure: str) -> Iterator[Cell]:
    """The cells of the experiment that a figure or table draws; none of no seeds."""
    selection = experiment["figures"][figure]
    x = selection["x"]
    sources = [experiment["sources"][role] for role in selection["roles"] if role in experiment["sources"]]
    if x == "epsilon":
        sources = [rung["source"] for rung in experiment["epsilon"]["sources"]]
    # {target: the one whose sizes it has}
    targets = {target: target for target in experiment["targets"]}
    if x == "resolution":
        targets = shrunk_names(experiment)
    for source in sources:
        for target, own in targets.items():
            for count in experiment["blocks"]:
                if count not in selection["blocks"]:
                    continue
                for images, models in experiment["sizes"][own]:
                    if x == "epoch" and images != experiment["fig3"]["images"]:
                        continue
                    if x in ("epsilon", "resolution") and images not in experiment[x]["images"]:
                        continue
                    planned = models_of(experiment, source, target, count, images, models)
                    if planned:
                        yield Cell(source, target, count, images, planned)


def shrunk_names(experiment: dict[str, Any]) -> dict[str, str]:
    """{target: the one that it is a shrunk version of} of the experiment's `resolution`, each at its own resolution included."""
    places = experiment["resolution"]["targets"] if experiment["resolution"] else {}
    return {name: target for target, shrunk in places.items() for _, name in shrunk}


def all_targets(experiment: dict[str, Any]) -> dict[str, str]:
    """{target: the one whose sizes it has} of the experiment's targets and the shrunk versions of them."""
    return {**{target: target for target in experiment["targets"]}, **shrunk_names(experiment)}


def models_of(experiment: dict[str, Any], source: str, target: str, blocks: int, images: int, otherwise: int) -> int:
    """How many models, one for each seed, the experiment plans for a cell; otherwise: of cells that no rule of `cell_seeds` fits."""
    cell = {"sources": source, "targets": target, "blocks": blocks}
    for rule in experiment["cell_seeds"]:
        if images <= rule["images_up_to"] and all(cell[key] in rule[key] for key in cell if key in rule):
            return rule["seeds"]
    return otherwise


@dataclass(frozen=True)
class Job:
    """Some models of a source, a target and a block count that one process trains: for each number of images, ascending, the same seeds.

    first, last: indices into the configuration's seeds.
    """

    source: str
    target: str
    blocks: int
    images: tuple[int, ...]
    first: int
    last: int

    @property
    def models(self) -> int:
        """How many it trains."""
        return len(self.images) * (self.last - self.first + 1)


def chunks(models: int, images: int, seeds_per_job: list[list[Any]]) -> list[tuple[int, int]]:
    """First and last index of the seeds of each job of a cell, such as [(0, 4), (5, 9)].

    The chunk's length depends on the number of images alone, so that more seeds add chunks and change none.
    """
    length = seeds_per_job[_step(images, seeds_per_job)][1]
    return [(first, min(first + length, models) - 1) for first in range(0, models, length)]


def _step(images: int, seeds_per_job: list[list[Any]]) -> int:
    return next(place for place, (limit, _, _) in enumerate(seeds_per_job) if images <= limit)


def transfer_jobs(experiment: dict[str, Any], figures: Iterable[str] | None = None) -> dict[str, Job]:
    """{file of rows: its job} for each transfer job that some figures need, or all, once. None for published rows.

    Which sizes share a job depends on the experiment's sizes and seeds alone, not on the figures, so that all of them
    read the same files.
    """
    if experiment["rows"] is not None:
        return {}
    jobs = {}
    for figure in experiment["figures"] if figures is None else figures:
        for cell in cells(experiment, figure):
            for first, last in chunks(cell.models, cell.images, experiment["seeds_per_job"]):
                images = tuple(_sharing(experiment, cell, (first, last)))
                folder = f"results/transfer/{experiment['protocol']}/{cell.source}/{cell.target}"
                name = f"blocks{cell.blocks}_n{'+'.join(map(str, images))}/seeds{first}-{last}.parquet"
                jobs[f"{folder}/{name}"] = Job(cell.source, cell.target, cell.blocks, images, first, last)
    return jobs


def _sharing(experiment: dict[str, Any], cell: Cell, seeds: tuple[int, int]) -> Iterator[int]:
    """The numbers of images that one job trains together with some seeds of a cell, that of the cell included; ascending."""
    steps = experiment["seeds_per_job"]
    step = _step(cell.images, steps)
    for images, models in _planned_sizes(experiment, cell.source, cell.target):
        if images == cell.images:
            yield images
        elif steps[step][2] and _step(images, steps) == step:
            models = models_of(experiment, cell.source, cell.target, cell.blocks, images, models)
            if seeds in chunks(models, images, steps):
                yield images


def _planned_sizes(experiment: dict[str, Any], source: str, target: str) -> list[list[int]]:
    """[[images, models], ...] out of the experiment's sizes: a source that only the epsilon ladder has, and a shrunk target, get theirs."""
    limits = []
    if source not in experiment["sources"].values():
        limits.append(experiment["epsilon"]["images"])
    if target not in experiment["targets"]:
        limits.append(experiment["resolution"]["images"])
    own = target if target in experiment["targets"] else shrunk_names(experiment)[target]
    return [size for size in experiment["sizes"][own] if all(size[0] in images for images in limits)]


def transfer_settings(
    experiment: dict[str, Any], recipe: dict[str, Any], figures: Iterable[str] | None = None
) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """{file of rows: (all that its job is told, {name: the artefact that it reads})}; see `transfer_jobs`.

    recipe: {"seeds": all seeds of the configuration, "protocols": {number of images, as text: the protocol at this size}}.
    """
    found = {}
    for file, job in transfer_jobs(experiment, figures).items():
        seeds = recipe["seeds"][job.first : job.last + 1]
        settings = {str(images): recipe["protocols"][str(images)] for images in job.images}
        told = transfer_told(experiment["protocol"], job.source, job.target, job.blocks, seeds, settings)
        found[file] = told, transfer_inputs(job.source, job.target, *job.images)
    return found


def transfer_told(
    protocol: str, source: str, target: str, blocks: int, seeds: list[int], settings: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """All that the script is told which fine-tunes, JSON-compatible; settings: {number of images, as text: the protocol at this size}."""
    identity = {"protocol": protocol, "source": source, "target": target, "blocks": blocks}
    return {**identity, "seeds": seeds, "settings": settings}


def transfer_inputs(source: str, target: str, *sizes: int) -> dict[str, str]:
    """{"source", "target", and "subset_" with each number of images: an artefact that fine-tuned models are made of}."""
    return {
        "source": f"results/sources/{source}.safetensors",
        "target": f"results/targets/{target}.safetensors",
        **{f"subset_{images}": subset_file(target, images) for images in sizes},
    }


def subset_file(target: str, images: int) -> str:
    """The artefact that holds a target's subsets of so many images."""
    return f"results/subsets/{target}/n{images}.parquet"


def row_files(experiment: dict[str, Any], figure: str) -> list[str]:
    """The files that hold the rows of the cells that a figure or table draws."""
    return [experiment["rows"]] if experiment["rows"] is not None else list(transfer_jobs(experiment, [figure]))
