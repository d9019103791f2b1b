"""Measure on one network how well each inverse of the head's Hessian predicts retraining, and what agreement it shows."""

import argparse
import json

import numpy as np
import pandas as pd

from advtransfer.artefacts import content_hash, load_tensors, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.datamodels import draw_halves, measure
from advtransfer.devices import pick_device

# Test images that are queries at most; more are left out evenly.
QUERIES = 1000


def main() -> None:
    """Parse, load, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", required=True, help="artefact of features.py")
    parser.add_argument("--settings", type=json.loads, required=True, help="the network, and what is tried, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    arguments = parser.parse_args()
    device, settings = pick_device(arguments.threads), arguments.settings
    read, _ = load_tensors(arguments.features, own=True)
    train, query = (
        [read[f"{part}_{name}"].numpy() for name in ("features", "logits", "labels")] for part in ("train", "test")
    )
    chosen = np.linspace(0, len(query[2]) - 1, min(QUERIES, len(query[2]))).round().astype(int)
    query = [values[chosen] for values in query]
    # Both sources see the same halves of a seed's images.
    subsets = draw_halves(len(train[2]), settings["halves"], settings["seed"])
    grid = (settings[name] for name in ("ridge", "cuts", "dampings"))
    identity = {name: settings[name] for name in ("target", "source", "blocks", "images", "seed")}
    facts = {"queries": len(chosen), "chance": float((train[2][:, None] == query[2]).mean())}
    # The words of `columns.INFLUENCE_CUT_ROWS` are no part of this job's code; its tests compare the names.
    rows = pd.DataFrame([{**identity, **row, **facts} for row in measure(train, query, *grid, subsets, device)])
    save_table(
        arguments.output, rows, made_of(settings, arguments.code, {"features": content_hash(arguments.features)})
    )


if __name__ == "__main__":
    with command_line():
        main()
