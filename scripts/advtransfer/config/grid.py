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
    seeds_per_job       [[up to images, seeds], ...]
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


def chunks(models: int, images: int, seeds_per_job: list[list[int]]) -> list[tuple[int, int]]:
    """First and last index of the seeds of each job of a cell, such as [(0, 4), (5, 9)].

    The chunk's length depends on the number of images alone, so that more seeds add chunks and change none.
    """
    length = next(seeds for limit, seeds in seeds_per_job if images <= limit)
    return [(first, min(first + length, models) - 1) for first in range(0, models, length)]


def transfer_chunks(
    experiment: dict[str, Any], figures: Iterable[str] | None = None
) -> dict[str, tuple[Cell, int, int]]:
    """{file of rows: (its cell, first and last index of its seeds)} for each transfer job that some figures need, or all, once.

    None for published rows.
    """
    if experiment["rows"] is not None:
        return {}
    return {
        f"results/transfer/{experiment['protocol']}/{cell.source}/{cell.target}"
        f"/blocks{cell.blocks}_n{cell.images}/seeds{first}-{last}.parquet": (cell, first, last)
        for figure in (experiment["figures"] if figures is None else figures)
        for cell in cells(experiment, figure)
        for first, last in chunks(cell.models, cell.images, experiment["seeds_per_job"])
    }


def transfer_jobs(experiment: dict[str, Any], figures: Iterable[str] | None = None) -> dict[str, tuple[Cell, int]]:
    """{file of rows: (its cell, how many seeds it holds)}; see `transfer_chunks`."""
    return {
        file: (cell, last - first + 1) for file, (cell, first, last) in transfer_chunks(experiment, figures).items()
    }


def transfer_settings(
    experiment: dict[str, Any], recipe: dict[str, Any], figures: Iterable[str] | None = None
) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """{file of rows: (all that its job is told, {"source", "target", "subset": its inputs})}; see `transfer_chunks`.

    recipe: {"seeds": all seeds of the configuration, "protocols": {number of images, as text: the protocol at this size}}.
    """
    return {
        file: (
            {
                **{"protocol": experiment["protocol"], "source": cell.source, "target": cell.target},
                **{"blocks": cell.blocks, "images": cell.images},
                "seeds": recipe["seeds"][first : last + 1],
                "settings": recipe["protocols"][str(cell.images)],
            },
            transfer_inputs(cell.source, cell.target, cell.images),
        )
        for file, (cell, first, last) in transfer_chunks(experiment, figures).items()
    }


def transfer_inputs(source: str, target: str, images: int) -> dict[str, str]:
    """{"source", "target", "subset": the artefact that a fine-tuned model is made of}."""
    return {
        "source": f"results/sources/{source}.safetensors",
        "target": f"results/targets/{target}.safetensors",
        "subset": f"results/subsets/{target}/n{images}.parquet",
    }


def row_files(experiment: dict[str, Any], figure: str) -> list[str]:
    """The files that hold the rows of the cells that a figure or table draws."""
    return [experiment["rows"]] if experiment["rows"] is not None else list(transfer_jobs(experiment, [figure]))
