"""What figures 6 to 8 show of influence matrices: counted by hand and by plain loops."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from advtransfer.artefacts import save_arrays
from advtransfer.config.columns import CONTRAST
from advtransfer.tables import influence as influence_tables
from advtransfer.tables.influence import (
    Influence,
    fig6,
    fig7,
    fig7_summary,
    fig8,
    fig8_summary,
    influence_all,
    ranked,
    read_influence,
    same_class,
)


def matrices(seed=0, n=12, t=20, classes=3):
    """Random influence of n training images on themselves and on t test images, for two roles."""
    rng = np.random.default_rng(seed)
    train = np.arange(n) % classes, rng.permutation(max(100, n))[:n]
    test = np.arange(t) % classes, rng.permutation(100)[:t]
    names = [f"class {label}" for label in range(classes)]
    return {
        role: {
            queries: Influence(rng.standard_normal((len(labels), n)), labels, ids, *train, names, queries)
            for queries, (labels, ids) in (("train", train), ("test", test))
        }
        for role in ("robust", "natural")
    }


def heads(*seeds, **sizes):
    """The matrices of several networks, one by default: {role: [of each seed]}."""
    made = [matrices(seed, **sizes) for seed in seeds or (0,)]
    return {role: [network[role] for network in made] for role in ("robust", "natural")}


@pytest.mark.parametrize("self_influence", ["excluded", "included"])
@pytest.mark.parametrize("queries", ["train", "test"])
def test_shares_equal_a_plain_loop(queries, self_influence):
    influence = matrices()["robust"][queries]
    hits = same_class(influence, self_influence)
    for row, (label, image_id) in enumerate(zip(influence.query_labels, influence.query_ids, strict=True)):
        pairs = sorted(zip(-influence.values[row], influence.train_labels, influence.train_ids, strict=True))
        if queries == "train" and self_influence == "excluded":
            pairs = [pair for pair in pairs if pair[2] != image_id]
        assert hits[row].tolist() == [pair[1] == label for pair in pairs]


def test_the_table_of_figure_8():
    table = fig8(heads(), "excluded", "t")
    assert table.groupby(["queries", "role"]).size().to_dict() == {
        ("train", "robust"): 11,
        ("train", "natural"): 11,
        ("test", "robust"): 12,
        ("test", "natural"): 12,
    }
    assert table["same_class_share"].between(0, 1).all()
    # Over all ranks the share is that of the class: 3 others of 11 for training images, 4 of 12 for test images.
    assert table.groupby("queries")["same_class_share"].mean().to_dict() == pytest.approx(
        {"train": 3 / 11, "test": 4 / 12}
    )
    assert table.groupby("queries")["chance"].first().to_dict() == pytest.approx({"train": 3 / 11, "test": 4 / 12})
    assert table[["low", "high"]].isna().all().all()
    assert (table["networks"] == 1).all()
    assert fig8(heads(), "included", "t").query("queries == 'train'")["rank"].max() == 12


def test_intervals_of_figure_8_are_over_networks():
    several = heads(0, 1, 2)
    table = fig8(several, "excluded", "t").set_index(["queries", "role", "rank"])
    shares = [same_class(pair["test"], "excluded").mean(0)[4] for pair in several["robust"]]
    line = table.loc[("test", "robust", 5)]
    half = t.ppf(0.975, 2) * np.std(shares, ddof=1) / np.sqrt(3)
    assert (line["same_class_share"], line["low"], line["high"]) == pytest.approx(
        (np.mean(shares), np.mean(shares) - half, np.mean(shares) + half)
    )
    assert line["networks"] == 3
    summary = fig8_summary(several, "excluded", "t").set_index(["queries", "role"]).loc[("test", "robust")]
    tops = [100 * same_class(pair["test"], "excluded").mean(0)[0] for pair in several["robust"]]
    assert summary["top1_percent"] == pytest.approx(np.mean(tops), abs=0.01)
    assert summary["top1_high"] - summary["top1_percent"] == pytest.approx(
        t.ppf(0.975, 2) * np.std(tops, ddof=1) / np.sqrt(3), abs=0.011
    )


@pytest.mark.parametrize("self_influence", ["excluded", "included"])
def test_the_contrast_of_figure_7_equals_a_plain_loop(self_influence):
    several = heads(0, 1, 2)
    table = fig7_summary(several, self_influence, "t").set_index(["queries", "role"])
    assert list(fig7_summary(several, self_influence, "t")) == list(CONTRAST)
    found = {}
    for role, pairs in several.items():
        for pair in pairs:
            influence, within, between = pair["train"], [], []
            for q, own in enumerate(influence.query_ids):
                for i, other in enumerate(influence.train_ids):
                    if own != other or self_influence == "included":
                        same = influence.query_labels[q] == influence.train_labels[i]
                        (within if same else between).append(influence.values[q, i])
            scale = np.sqrt(np.mean(np.square([*within, *between])))
            found.setdefault(role, []).append((np.mean(within) / scale, np.mean(between) / scale))
    line = table.loc[("train", "robust")]
    assert tuple(line[["within", "between"]]) == pytest.approx(tuple(np.mean(found["robust"], 0)))
    contrast = -np.diff(found["robust"])[:, 0]
    assert line["contrast"] == pytest.approx(contrast.mean())
    paired = contrast + np.diff(found["natural"])[:, 0]
    difference = table.loc[("train", "robust - natural")]
    half = t.ppf(0.975, 2) * paired.std(ddof=1) / np.sqrt(3)
    assert (difference["contrast"], difference["low"]) == pytest.approx((paired.mean(), paired.mean() - half))


def test_the_contrast_has_no_unit():
    scaled = {
        role: [{name: replace(part, values=1e-9 * part.values) for name, part in pair.items()} for pair in pairs]
        for role, pairs in heads().items()
    }
    pd.testing.assert_frame_equal(fig7_summary(scaled, "excluded", "t"), fig7_summary(heads(), "excluded", "t"))


def test_at_most_a_hundred_ranks():
    assert fig8(heads(n=150), "excluded", "t")["rank"].max() == 100


def test_the_summary_stands_beside_the_papers_numbers():
    made = matrices()
    # Row 0: 3 of its 5 most influential images are of its class 0, the first is not; row 1 (class 1): 2 of 5, the first is.
    values = np.zeros((2, 12))
    values[0, [1, 0, 3, 6, 2]] = [5, 4, 3, 2, 1]
    values[1, [1, 4, 0, 3, 6]] = [5, 4, 3, 2, 1]
    test = made["robust"]["test"]
    made["robust"]["test"] = replace(test, values=values, query_labels=np.array([0, 1]), query_ids=test.query_ids[:2])
    summary = fig8_summary({role: [pair] for role, pair in made.items()}, "excluded", "t").set_index(
        ["queries", "role"]
    )
    line = summary.loc[("test", "robust")]
    assert (line["top1_percent"], line["three_of_top5_percent"], line["query_images"]) == (50, 50, 2)
    assert (line["paper_top1_percent"], line["paper_three_of_top5_percent"]) == (78.6, 77.3)
    assert tuple(summary.loc[("test", "natural"), ["paper_top1_percent", "paper_three_of_top5_percent"]]) == (
        55.1,
        53.8,
    )
    assert summary.loc["train", "paper_top1_percent"].isna().all()
    assert summary.loc["train", "self_influence"].tolist() == ["excluded", "excluded"]


def test_matrices_are_sorted_by_class_and_of_norm_1():
    made = matrices()
    arrays, facts = fig7(made, "included")
    train = made["robust"]["train"]
    order = [*np.flatnonzero(train.train_labels == 0), *np.flatnonzero(train.train_labels == 1)]
    order += [*np.flatnonzero(train.train_labels == 2)]
    expected = train.values[order][:, order] / np.sqrt((train.values**2).sum())
    assert np.allclose(arrays["robust_train"], expected, atol=1e-7)
    assert facts["edges"] == {"train": pytest.approx([1 / 3, 2 / 3, 1]), "test": pytest.approx([0.35, 0.7, 1])}
    assert facts["sizes"] == {"train": 12, "test": 20}
    without = fig7(made, "excluded")[0]["robust_train"]
    assert (without.diagonal() == 0).all()
    assert np.linalg.norm(without) == pytest.approx(1)


def test_large_matrices_are_averaged_down(monkeypatch):
    monkeypatch.setattr(influence_tables, "CELLS", 4)
    arrays, _ = fig7(matrices(classes=1), "included")
    values = matrices(classes=1)["robust"]["test"].values
    blocks = values.reshape(4, 5, 4, 3).mean((1, 3)) / np.linalg.norm(values)
    assert np.allclose(arrays["robust_test"], blocks, atol=1e-7)


def test_figure_6_shows_the_most_influential_images():
    made = matrices()
    images = {
        name: np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1) * np.ones((1, 1, 2, 2), np.uint8)
        for name in ("train_images", "test_images")
    }
    arrays, facts = fig6(made, images)
    assert arrays["images"].shape == (3, 3, 1, 2, 2)
    assert facts["rows"] == ["test image", "robust", "natural"]
    for column in range(3):
        test = made["natural"]["test"]
        assert facts["image_ids"][0][column] == test.query_ids[column]  # the first of its class
        best = test.train_ids[test.values[column].argmax()]
        assert facts["image_ids"][2][column] == best
        assert (arrays["images"][2, column] == best).all()
        assert facts["influence"][2][column] == test.values[column].max()


def test_heads_and_all_weights_are_compared_on_the_same_targets():
    head, everything = matrices(0), matrices(0)
    for pair in everything.values():
        test = pair["test"]
        pair["test"] = replace(
            test, values=test.values[::2], query_labels=test.query_labels[::2], query_ids=test.query_ids[::2]
        )
    table = influence_all(head, everything, "excluded")
    one, other = (
        part.drop(columns="through").reset_index(drop=True) for _, part in table.groupby("through", sort=False)
    )
    pd.testing.assert_frame_equal(one, other)
    assert one.query("queries == 'test'")["query_images"].unique().tolist() == [10]


def test_reading_an_artefact_whose_targets_are_some_of_the_training_images(tmp_path):
    arrays = {
        "influence_train": np.arange(6.0).reshape(2, 3),
        "influence_test": np.zeros((1, 3)),
        "train_labels": np.array([0, 1, 2]),
        "train_image_ids": np.array([30, 10, 20]),
        "train_query_image_ids": np.array([20, 30]),
        "test_labels": np.array([1]),
        "test_image_ids": np.array([5]),
    }
    save_arrays(tmp_path / "influence.safetensors", arrays, {"class_names": ["a", "b", "c"]})
    train = read_influence(tmp_path / "influence.safetensors")["train"]
    assert train.query_labels.tolist() == [2, 0]
    assert ranked(train, "excluded").tolist() == [[1, 0], [2, 1]]
