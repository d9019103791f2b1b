"""The table of transferred non-robustness: means over networks, ratios where they mean something, contradictions refused."""

import math

import numpy as np
import pandas as pd
import pytest

from advtransfer.artefacts import save_table
from advtransfer.config.columns import NONROBUSTNESS, NONROBUSTNESS_ROWS
from advtransfer.errors import InputError
from advtransfer.tables.intervals import t_interval
from advtransfer.tables.nonrobustness import nonrobustness, read_rows, with_measures

EPSILONS = (0.0, 1 / 255, 2 / 255)


def rows_of(counts, arm="fine_tuned", source="plain", beta=0.0, classes=10, images=50):
    """counts: {seed: right images at each radius}."""
    lines = [
        [
            arm,
            "short",
            source,
            "leaves",
            3,
            100,
            beta,
            seed,
            classes,
            "linf",
            "pgd",
            epsilon,
            images,
            right[0],
            one,
            one,
        ]
        for seed, right in counts.items()
        for epsilon, one in zip(EPSILONS, right, strict=True)
    ]
    return pd.DataFrame(lines, columns=list(NONROBUSTNESS_ROWS))


def one(table, quantity, epsilon=None):
    found = table[table["quantity"] == quantity]
    (line,) = (found if epsilon is None else found[found["epsilon"] == epsilon]).itertuples()
    return line


def test_means_are_over_networks():
    table = nonrobustness(rows_of({1: (40, 20, 0), 2: (30, 10, 10), 3: (50, 45, 5)}), "t")
    assert list(table) == list(NONROBUSTNESS)
    assert one(table, "accuracy").mean == pytest.approx(0.8)
    line = one(table, "adversarial_accuracy", 1 / 255)
    assert (line.mean, line.networks, line.test_images) == (pytest.approx(0.5), 3, 50)
    assert (line.low, line.high) == pytest.approx(t_interval(np.array([0.4, 0.2, 0.9])))
    # Of each network first: not the ratio of the means.
    assert one(table, "decline_ratio", 1 / 255).mean == pytest.approx(np.mean([0.5, 2 / 3, 0.1]))


def test_without_an_attack_both_accuracies_are_one():
    table = nonrobustness(rows_of({1: (40, 20, 0), 2: (30, 10, 10)}), "t")
    line, same = one(table, "accuracy"), one(table, "adversarial_accuracy", 0.0)
    assert (line.mean, line.low, line.high) == (same.mean, same.low, same.high)


@pytest.mark.parametrize(("right", "known"), [(9, False), (10, True)])
def test_less_than_twice_chance_has_no_decline(right, known):
    """10 classes, 50 images: twice chance is 10 right."""
    rows = rows_of({1: (right, 5, 0), 2: (40, 20, 0)})
    assert with_measures(rows)["decline_ratio"].isna().any() != known
    line = one(nonrobustness(rows, "t"), "decline_ratio", 1 / 255)
    assert (line.networks, line.attacked_networks) == ((2, 2) if known else (1, 2))
    assert line.mean == pytest.approx(0.5)


def test_no_network_with_a_decline_leaves_it_empty():
    line = one(nonrobustness(rows_of({1: (3, 2, 0)}), "t"), "decline_ratio", 1 / 255)
    assert math.isnan(line.mean)
    assert line.networks == 0


def test_a_single_network_has_no_interval():
    line = one(nonrobustness(rows_of({1: (40, 20, 0)}), "t"), "accuracy")
    assert math.isnan(line.low)


def test_autoattack_stands_by_itself():
    rows = rows_of({1: (40, 20, 0), 2: (30, 10, 10)})
    strong = rows[rows["epsilon"] == 1 / 255].assign(attack="autoattack", test_images=20, clean=18, pgd=8, right=[6, 3])
    table = nonrobustness(pd.concat([rows, strong]), "t")
    assert one(table, "autoattack_accuracy").mean == pytest.approx((6 + 3) / 40)
    assert one(table, "autoattack_loss").mean == pytest.approx((2 + 5) / 40)
    assert one(table, "adversarial_accuracy", 1 / 255).mean == pytest.approx(0.3)


def test_arms_are_kept_apart():
    rows = pd.concat(
        [
            rows_of({1: (40, 20, 0)}),
            rows_of({1: (30, 25, 20)}, "mitigated", beta=4.0),
            rows_of({1: (9, 9, 9)}, "standard"),
        ]
    )
    found = nonrobustness(rows, "t").query("quantity == 'accuracy'").set_index("arm")["mean"]
    assert found.to_dict() == {"fine_tuned": 0.8, "mitigated": 0.6, "standard": 0.18}


@pytest.mark.parametrize(
    "wrong",
    [(40, 20, 21), (40, 41, 0), (51, 20, 0)],
    ids=["rises with the radius", "above clean", "more than there are"],
)
def test_a_worst_case_that_rises_is_refused(tmp_path, wrong):
    file = tmp_path / "rows.parquet"
    save_table(file, rows_of({1: (40, 20, 0), 2: wrong}))
    with pytest.raises(InputError, match=r"rows\.parquet: seed 2 at epsilon .*A worst case cannot rise"):
        read_rows([file])


def test_other_tables_are_refused(tmp_path):
    save_table(tmp_path / "rows.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="no rows of attacked networks"):
        read_rows([tmp_path / "rows.parquet"])
