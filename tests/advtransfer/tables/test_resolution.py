"""The table of robust minus natural against the target's own resolution."""

import pytest

from advtransfer.tables.resolution import resolution
from experiments import an_experiment, rows_of, selections

PLACES = {"leaves": [[32, "leaves"], [8, "leaves_8px"]], "stones": [[16, "stones"]]}
NAMES = ["leaves", "leaves_8px", "stones"]


def test_lines_are_called_by_target_and_pixels():
    experiment = an_experiment(
        resolution={"targets": PLACES, "images": [100]}, figures={"resolution": selections(NAMES)["resolution"]}
    )
    ahead = {"leaves": 0.1, "leaves_8px": 0.3, "stones": -0.2}

    def accuracy(source, target, blocks, images, seed, epoch):
        return 0.5 + 0.01 * seed + (ahead[target] if source == "l2" else 0)

    wide = {**experiment, "targets": NAMES, "sizes": {name: [[100, 4], [200, 4]] for name in NAMES}}
    table = resolution(rows_of(wide, accuracy), experiment, "resolution")
    deltas = table[table["quantity"] == "delta"]
    found = {(line.target, line.pixels, line.images): line.mean for line in deltas.itertuples()}
    assert found == pytest.approx({("leaves", 32, 100): 0.1, ("leaves", 8, 100): 0.3, ("stones", 16, 100): -0.2})
    assert (deltas["models"] == 4).all()
    assert deltas["low"].to_numpy() == pytest.approx(deltas["mean"].to_numpy())
    accuracies = table[(table["quantity"] == "accuracy") & (table["source"] == "l2")]
    assert sorted(zip(accuracies["target"], accuracies["pixels"], strict=True)) == [
        ("leaves", 8),
        ("leaves", 32),
        ("stones", 16),
    ]
