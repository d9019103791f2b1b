"""The project's configuration, and experiments resolved from it or written down by tests."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from advtransfer.config import inputs
from advtransfer.config.catalogue import FROM_ROWS
from advtransfer.config.check import check
from advtransfer.config.resolution import shrunk_targets
from advtransfer.config.resolve import resolve_experiment, resolve_selection
from advtransfer.tables.accuracy import ROW_COLUMNS

PROJECT = Path(__file__).resolve().parents[1]
SOURCES = {"natural": "plain", "robust": "l2", "linf_small": "small", "linf_large": "large"}


def read_config() -> dict[str, Any]:
    """config.yaml as Snakemake would read it."""
    return yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))


def counts_of(config: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The counts of the chosen experiment's targets, shrunk ones included."""
    shrunk = shrunk_targets(config)
    config["targets"].update(shrunk)
    return {target: inputs.counts_of(config, target) for target in inputs.planned_targets(config, shrunk)}


def resolved(config: dict[str, Any], experiment: str | None = None) -> dict[str, Any]:
    """The chosen experiment, or another one, which is chosen then: checked as rules/common.smk does it, and resolved."""
    config["experiment"] = experiment or config["experiment"]
    check(config, PROJECT / "rules" / "config.schema.yaml")
    return resolve_experiment(config, counts_of(config), inputs.published_rows(config))


def selections(targets: list[str]) -> dict[str, dict[str, Any]]:
    """The `figures` of a resolved experiment on these targets."""
    return {name: resolve_selection(entry.selection, list(targets)) for name, entry in FROM_ROWS.items()}


def an_experiment(models: int = 4, targets: tuple[str, ...] = ("leaves", "stones"), **changes) -> dict:
    """A resolved experiment of two sizes and four block counts."""
    return {
        "name": "trial",
        "protocol": "short",
        "sources": SOURCES,
        "targets": list(targets),
        "labels": {},
        "sizes": {target: [[100, models], [200, models]] for target in targets},
        "cell_seeds": [],
        "resolution": None,
        "epochs": {"100": 20, "200": 20},
        "blocks": [0, 1, 3, 9],
        "fig3": {"images": 200, "epochs": [1, 11, 20]},
        "figures": selections(targets),
        "bands": "t",
        "rows": None,
        "seeds_per_job": [[1000, 2, False]],
    } | changes


def rows_of(experiment: dict, accuracy=lambda source, target, blocks, images, seed, epoch: 0.5) -> pd.DataFrame:
    """All rows of an experiment, evaluated at its fig3 epochs; accuracy says the test accuracy of each."""
    lines = []
    for source in experiment["sources"].values():
        for target in experiment["targets"]:
            for blocks in experiment["blocks"]:
                for images, models in experiment["sizes"][target]:
                    for seed in range(models):
                        for epoch in experiment["fig3"]["epochs"]:
                            cell = (source, target, blocks, images, seed, epoch)
                            lines.append([experiment["protocol"], *cell, accuracy(*cell), 1.0, 0.1, 0.1, 2.0])
    return pd.DataFrame(lines, columns=ROW_COLUMNS)
