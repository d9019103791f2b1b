"""Tables 1 to 4 come out of the configuration and the artefacts."""

import pandas as pd
import pytest
import torch

from advtransfer.artefacts import save_table
from advtransfer.config import resolve
from advtransfer.datasets import Dataset
from advtransfer.tables.descriptions import table1, table2, table3, table4
from advtransfer.tables.robustness import COLUMNS, source_robustness
from experiments import read_config, resolved


@pytest.fixture
def config():
    return read_config()


def test_the_papers_hyper_parameters(config):
    """Section 4 of the paper."""
    table = table1(resolve.describe(config, resolved(config, "paper"), "table1"), []).set_index("hyper_parameter")[
        "value"
    ]
    assert (table["learning rate"], table["momentum"], table["weight decay"], table["batch size"]) == (
        0.1,
        0.9,
        5e-4,
        128,
    )
    assert table["blocks fine-tuned besides the head"] == "0, 1, 3, 9"
    assert table["batch norm of frozen layers"] == "adapt"


def test_the_papers_training_by_size(config):
    """Table 2 of the paper: 100 epochs and 20 seeds up to 1,600 images, and 12,576 models in all."""
    experiment = resolved(config, "paper")
    table = table2(resolve.describe(config, experiment, "table2"), [])
    assert table["models"].sum() == 12576
    by_size = table.set_index("images")
    assert by_size.loc[1600, ["epochs", "seeds"]].tolist() == [100, 20]
    assert by_size.loc[3200, ["epochs", "seeds"]].tolist() == [150, 10]
    assert by_size.loc[25600, ["epochs", "seeds"]].tolist() == [150, 5]
    assert by_size.loc[100, "evaluated_after"] == "1 21 41 61 81 100"
    assert by_size.loc[73257, "targets"] == "svhn"
    assert by_size.loc[60000, "targets"] == "fmnist kmnist mnist"
    # The ladder: 15 sources, 6 targets, 3 sizes, 5 seeds.
    assert table2(resolve.describe(config, resolved(config, "ladder"), "table2"), [])["models"].sum() == 15 * 6 * 3 * 5


def robustness_file(folder, source, rows):
    lines = [dict(zip(COLUMNS, [source, *row], strict=True)) for row in rows]
    save_table(folder / f"{source}.parquet", pd.DataFrame(lines, columns=COLUMNS))
    return folder / f"{source}.parquet"


def test_sources_with_published_beside_measured(config, tmp_path):
    files = [
        robustness_file(tmp_path, "natural", [["", 0.0, 0.7613, 50000, "none", "measured"]]),
        robustness_file(
            tmp_path,
            "linf_4",
            [
                ["", 0.0, 0.62, 50000, "none", "measured"],
                ["linf", 2 / 255, 0.5, 2000, "PGD-20", "measured"],
                ["linf", 4 / 255, 0.4, 2000, "PGD-20", "measured"],
            ],
        ),
        robustness_file(tmp_path, "l2_3", []),
    ]
    table = table3(resolve.describe(config, resolved(config, "paper"), "table3"), files).set_index("source")
    assert table["published_accuracy_percent"].to_dict() == {
        "natural": 76.13,
        "l2_3": 57.90,
        "linf_4": 62.42,
        "linf_8": 47.91,
    }
    assert table.loc["natural", "clean_accuracy_percent"] == 76.13
    assert pd.isna(table.loc["natural", "robust_accuracy_percent"])
    assert table.loc["linf_4", ["clean_accuracy_percent", "robust_accuracy_percent"]].tolist() == [62, 40]
    assert table.loc["linf_4", "attacked_images"] == 2000
    assert table.loc[["l2_3", "linf_8"], "clean_accuracy_percent"].isna().all()
    assert table.loc["l2_3", ["norm", "epsilon"]].tolist() == ["l2", 3.0]


def test_targets_are_counted_in_their_artefacts(tmp_path):
    images = torch.zeros(7, 3, 5, 4, dtype=torch.uint8)
    dataset = Dataset(images, torch.arange(7) % 2, images[:3].clone(), torch.tensor([0, 1, 0]), ["cat", "dog"], {})
    dataset.save(tmp_path / "pets.safetensors")
    table = table4([{"target": "pets", "label": "Pets"}], [tmp_path / "pets.safetensors"])
    assert table.iloc[0].tolist() == ["pets", "Pets", 7, 3, 2, 3, 5, 4]


def test_clean_accuracy_is_epsilon_zero_of_every_norm(tmp_path):
    rows = [
        ["", 0.0, 0.9, 100, "none", "measured"],
        ["linf", 0.1, 0.2, 10, "PGD-2", "measured"],
        ["l2", 0.5, 0.3, 10, "PGD-2", "measured"],
    ]
    table = source_robustness([robustness_file(tmp_path, "a", rows), robustness_file(tmp_path, "b", rows[:1])])
    assert table[["source", "norm", "epsilon", "accuracy"]].values.tolist() == [
        ["a", "l2", 0.0, 0.9],
        ["a", "l2", 0.5, 0.3],
        ["a", "linf", 0.0, 0.9],
        ["a", "linf", 0.1, 0.2],
    ]
