"""What is drawn of attacked networks, on rows written down by hand; rows that contradict the theorems stop everything."""

import numpy as np
import pandas as pd
import pytest

from advtransfer.artefacts import save_table
from advtransfer.config.columns import BOUND, BOUND_ROWS, BOUND_SUMMARY
from advtransfer.errors import InputError
from advtransfer.tables.robustness_bound import read_rows, robustness_bound, robustness_bound_summary


def a_row(**changes):
    """An image that is right and stands: its loss rises by 1 of the 2 nats that are allowed."""
    return {
        **{
            "target": "leaves",
            "source": "plain",
            "blocks": 0,
            "images": 100,
            "seed": 0,
            "norm": "linf",
            "epsilon": 0.01,
        },
        **{"image_id": 0, "label": 1, "prediction": 1, "prediction_adv": 1, "loss": 0.5, "loss_adv": 1.5},
        **{"sensitivity_estimate": 0.5, "sensitivity_representation": 0.4, "feature_norm": 10.0},
        **{"boundary_distance": 0.6, "weight_distance": 4.0, "met": True, "flipped": False, "violated": False},
    } | changes


def rows_of(*rows):
    return pd.DataFrame([a_row(**row) for row in rows], columns=list(BOUND_ROWS))


FLIPPED = {"image_id": 1, "prediction_adv": 2, "boundary_distance": 0.3, "met": False, "flipped": True, "loss_adv": 2.5}
WRONG = {"image_id": 2, "prediction": 0, "prediction_adv": 0}


def test_the_summary_by_hand():
    rows = rows_of(
        {},
        FLIPPED,
        WRONG,
        {"image_id": 3, "boundary_distance": 0.45, "met": False},
        {"seed": 1},
        {"seed": 1, "image_id": 1},
    )
    (line,) = robustness_bound_summary(rows, "t").to_dict("records")
    assert list(line) == list(BOUND_SUMMARY)
    assert (line["networks"], line["attacked_images"], line["violations"], line["contradictions"]) == (2, 6, 0, 0)
    # Means of networks' means: of 4 images of the first, all 2 of the second.
    assert line["accuracy"] == (3 / 4 + 1) / 2
    assert line["robust_accuracy"] == (2 / 4 + 1) / 2
    assert line["accuracy_met"] == (1 / 4 + 1) / 2
    # 0.4 < 0.45: by the attack on the representation alone one more.
    assert line["accuracy_met_representation"] == (2 / 4 + 1) / 2
    assert line["loss_gap"] == pytest.approx((5 / 4 + 1) / 2)
    assert line["bound"] == 2
    assert line["relative_sensitivity"] == 0.05
    assert line["beyond_pretrained"] == 0


def test_the_bound_of_the_pretrained_takes_the_probes_sensitivity():
    """The network with blocks is twice as sensitive; image 1 was not attacked in the probe."""
    trained = {"blocks": 3, "sensitivity_estimate": 1.0, "loss_adv": 3.0}
    rows = rows_of(
        {},
        trained,
        {**trained, "image_id": 1},
        {**trained, "image_id": 2},
        {"image_id": 2, "sensitivity_estimate": 0.9},
    )
    table = robustness_bound_summary(rows, "t").set_index("blocks")
    assert table.loc[3, "bound"] == 4
    assert table.loc[3, "pretrained_bound"] == pytest.approx((2 + 3.6) / 2)
    assert table.loc[3, "beyond_pretrained"] == 1
    drawn = robustness_bound(rows, "t")
    beyond = drawn[drawn["quantity"] == "beyond_pretrained"].set_index("blocks")["value"]
    assert beyond[0] == 0
    assert beyond[3] == pytest.approx(1 / 3)


def test_intervals_are_over_networks():
    rows = rows_of(
        *({"seed": seed, "image_id": image, "loss_adv": 1.5 + seed} for seed in range(3) for image in range(4))
    )
    table = robustness_bound(rows, "t")
    assert list(table.columns) == list(BOUND)
    (line,) = table[table["quantity"] == "loss_gap"].to_dict("records")
    # 1, 2, 3: mean 2, standard error 1 / sqrt(3), and Student's t with 2 degrees.
    assert (line["value"], line["networks"]) == (2, 3)
    assert line["high"] - 2 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)


def test_the_histogram_counts_every_image_once_and_has_an_edge_at_zero():
    rng = np.random.default_rng(0)
    rows = rows_of(
        *(
            {"image_id": image, "boundary_distance": rho, "met": rho > 0.5, "flipped": bool(rho < 0.4)}
            for image, rho in enumerate([*rng.exponential(0.6, 300), np.inf])
        )
    )
    table = robustness_bound(rows, "t")
    bins = table[table["quantity"].isin(["flipped", "stands"])]
    assert bins["value"].sum() == pytest.approx(1)
    assert (bins["points"] == 301).all()
    assert np.isclose(bins["left"], 0, atol=1e-15).any()
    flipped = bins[(bins["quantity"] == "flipped") & (bins["value"] > 0)]
    assert flipped["right"].max() <= 1e-15
    met = bins[(bins["quantity"] == "stands") & (bins["left"] > -1e-15)]["value"].sum()
    assert met == pytest.approx(rows["met"].mean())


def test_the_correlation_is_over_sources():
    rows = rows_of(
        *(
            {"source": f"s{index}", "seed": seed, "image_id": image, "sensitivity_estimate": 0.1 * (index + 1)}
            | ({**FLIPPED, "image_id": image} if image < index else {})
            for index in range(4)
            for seed in range(2)
            for image in range(4)
        )
    )
    table = robustness_bound(rows, "t").set_index("quantity")
    assert table.loc["rank_correlation", ["value", "points"]].tolist() == [pytest.approx(-1), 4]
    assert table.loc["permutation_p", "value"] == pytest.approx(2 / 24)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"violated": True}, "its loss moved further than the bound allows"),
        ({"flipped": True}, "it met the criterion and got another class all the same"),
    ],
)
def test_a_contradiction_stops_the_run(tmp_path, wrong, words):
    """One image of many is enough; the file, the image, the seed and the radius are named."""
    file = tmp_path / "rows.parquet"
    save_table(file, rows_of({}, FLIPPED, {"image_id": 9, "seed": 5, **wrong}))
    with pytest.raises(InputError) as error:
        read_rows([file])
    line = str(error.value)
    assert line.startswith(
        f"{file}: 1 attacked image(s) contradict the theorems, first test image 9, seed 5, epsilon 0.01: "
    )
    assert words in line
    assert "\n" not in line


def test_rows_of_another_kind_are_refused(tmp_path):
    save_table(tmp_path / "rows.parquet", pd.DataFrame({"seed": [1]}))
    with pytest.raises(InputError, match="no rows of attacked networks"):
        read_rows([tmp_path / "rows.parquet"])
