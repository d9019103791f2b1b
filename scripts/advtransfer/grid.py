"""The grid of fine-tuned models: which cells an experiment has, which a figure draws, and where their rows lie.

An experiment is used in its resolved form, a JSON-compatible dict made by `settings.resolve_experiment`:

    name, protocol      str
    sources             {role: source}, roles out of ROLES
    targets             [target], in drawing order
    labels              {source or target: the words a figure shows}
    sizes               {target: [[images, models], ...]}, ascending; models is the number of seeds
    blocks              [int], ascending
    fig3                {"images": int, "epochs": [int, ...]}
    epsilon             {"sources": [{"source": str, "norm": str or null, "epsilon": float}, ...], "images": [int, ...]};
                        the natural source has norm null and epsilon 0
    rows                path of one file that holds all rows, or null where every chunk of seeds has a file of its own
    seeds_per_job       [[up to images, seeds], ...]
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# The main comparison is natural against robust (the paper: L2, epsilon 3); figures 5 and 10 add two Linf sources.
ROLES = ("natural", "robust", "linf_small", "linf_large")

# figure: (roles, blocks), None standing for all that the experiment has. The paper compares sources at 3 blocks.
FIGURES: dict[str, tuple[tuple[str, ...], tuple[int, ...] | None]] = {
    "fig2": (("natural", "robust"), (3,)),
    "fig3": (("natural", "robust"), (3,)),
    "fig4": (("robust",), (0, 1, 3, 9)),
    "fig5": (("robust", "linf_small", "linf_large"), (3,)),
    "fig10": (ROLES, (0, 1, 3, 9)),
    "epsilon": ((), (3,)),  # its sources are a family, not roles
    "table5": (ROLES, (3,)),
}


@dataclass(frozen=True)
class Cell:
    """All models of one source, target, block count and number of images."""

    source: str
    target: str
    blocks: int
    images: int
    models: int


def cells(experiment: dict[str, Any], figure: str) -> Iterator[Cell]:
    """The cells of the experiment that a figure or table draws."""
    roles, blocks = FIGURES[figure]
    sources = [experiment["sources"][role] for role in roles if role in experiment["sources"]]
    if figure == "epsilon":
        sources = [rung["source"] for rung in experiment["epsilon"]["sources"]]
    for source in sources:
        for target in experiment["targets"]:
            for count in experiment["blocks"]:
                if blocks is not None and count not in blocks:
                    continue
                for images, models in experiment["sizes"][target]:
                    if figure == "fig3" and images != experiment["fig3"]["images"]:
                        continue
                    if figure == "epsilon" and images not in experiment["epsilon"]["images"]:
                        continue
                    yield Cell(source, target, count, images, models)


def chunks(models: int, images: int, seeds_per_job: list[list[int]]) -> list[tuple[int, int]]:
    """First and last index of the seeds of each job of a cell, such as [(0, 4), (5, 9)].

    The chunk's length depends on the number of images alone, so that more seeds add chunks and change none.
    """
    length = next(seeds for limit, seeds in seeds_per_job if images <= limit)
    return [(first, min(first + length, models) - 1) for first in range(0, models, length)]


def transfer_jobs(experiment: dict[str, Any], figures: Iterable[str] = FIGURES) -> dict[str, tuple[Cell, int]]:
    """{file of rows: (its cell, how many seeds it holds)} for each transfer job that figures need, once; none for published rows."""
    if experiment["rows"] is not None:
        return {}
    return {
        f"results/transfer/{experiment['protocol']}/{cell.source}/{cell.target}"
        f"/blocks{cell.blocks}_n{cell.images}/seeds{first}-{last}.parquet": (cell, last - first + 1)
        for figure in figures
        for cell in cells(experiment, figure)
        for first, last in chunks(cell.models, cell.images, experiment["seeds_per_job"])
    }


def row_files(experiment: dict[str, Any], figure: str) -> list[str]:
    """The files that hold the rows of the cells that a figure or table draws."""
    return [experiment["rows"]] if experiment["rows"] is not None else list(transfer_jobs(experiment, [figure]))
