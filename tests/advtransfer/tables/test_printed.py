"""The means that the paper's Table 5 prints, and which of them a figure shows."""

import pandas as pd

from advtransfer.config import inputs
from advtransfer.tables import printed, published
from advtransfer.tables.accuracy import compare
from experiments import read_config, resolved, rows_of

EXPERIMENT = resolved(read_config(), "published")
LABELS = list(published.SOURCES.values())


def test_all_printed_cells_are_there():
    shipped = pd.read_csv(printed.PRINTED)
    assert list(shipped) == ["target", "images", "source", "printed_percent", "summary_percent"]
    cells = list(shipped[["target", "images", "source"]].itertuples(index=False, name=None))
    assert cells == [
        (target, images, source)
        for target, whole in published.ALL_IMAGES.items()
        for images in (*published.SIZES, whole)
        for source in published.SOURCES.values()
    ]
    assert len(cells) == 240
    assert shipped["printed_percent"].between(0, 100).all()


def test_printed_means_of_a_figures_cells():
    for figure, sources in {
        "fig2": ["natural", "l2_3"],
        "fig5": ["l2_3", "linf_4", "linf_8"],
        "table5": LABELS,
    }.items():
        means = printed.printed_means(EXPERIMENT, figure)
        assert list(means) == ["target", "images", "source", "printed_percent"]
        assert len(means) == 60 * len(sources)
        assert list(means["source"].unique()) == sources
    # Of all block counts that figure 10 draws, Table 5 has one.
    assert len(printed.printed_means(EXPERIMENT, "fig10")) == 240
    mine = {**EXPERIMENT, "sizes": {**EXPERIMENT["sizes"], "svhn": [[50, 3], [3200, 10]]}, "targets": ["svhn"]}
    means = printed.printed_means(mine, "fig5").set_index(["images", "source"])["printed_percent"]
    assert means.to_dict() == {(3200, "l2_3"): 85.55, (3200, "linf_4"): 81.57, (3200, "linf_8"): 84.40}
    assert printed.printed_means({**mine, "protocol": "fast"}, "fig5").empty
    assert printed.printed_means({**mine, "blocks": [0, 1]}, "fig5").empty


MINE = {"protocol": "demo", "targets": ["cifar10", "digits"], "images": [50, 100, 400], "seeds": 2, "blocks": [1, 3]}


def mine(**changes) -> dict:
    """A user's experiment on one of the paper's targets and on another one, with the bundled sources."""
    config = read_config()
    sources = config["experiments"]["demo"]["sources"]
    config["experiments"]["mine"] = {**MINE, "sources": sources, **changes}
    return resolved(config, "mine")


def test_any_experiment_on_the_papers_targets_gets_the_means_of_its_roles():
    """Of another protocol and of other sources: what is printed is the paper's, and so is the name in `source`."""
    experiment = mine(fig3={"images": 400, "epochs": [30]})
    table = compare(rows_of(experiment), experiment, "fig2")
    lines = table[table["quantity"] == "printed"].set_index(["target", "images", "source"])
    # Table 5, CIFAR-10: natural and L2.
    theirs = pd.read_csv(printed.PRINTED).set_index(["target", "images", "source"])["printed_percent"]
    expected = [("cifar10", images, source) for source in ("natural", "l2_3") for images in (100, 400)]
    assert list(lines.index) == expected
    assert (lines["mean"] - theirs[expected] / 100).abs().max() < 1e-12
    assert set(lines["blocks"]) == {3}
    assert lines[["low", "high"]].isna().all(axis=None)
    assert (lines[["models", "models_expected"]] == 0).all(axis=None)
    # Figure 5 shows the accuracy of CIFAR-10 and the first target in SVHN's place; figures 3, 4 and 10 have no overlay.
    fig5 = compare(rows_of(experiment), experiment, "fig5")
    assert set(fig5[fig5["quantity"] == "printed"]["source"]) == {"l2_3", "linf_4", "linf_8"}
    for figure in ("fig3", "fig4", "fig10"):
        assert (compare(rows_of(experiment), experiment, figure)["quantity"] != "printed").all()


def test_the_file_is_read_only_where_it_is_shown():
    experiment = mine()
    for figure in experiment["figures"]:
        wanted = [inputs.PRINTED] if figure in ("fig2", "fig5", "table5", "reproduction") else []
        assert inputs.printed_files(experiment, figure) == wanted
    for other in (resolved(read_config(), "demo"), mine(targets=["digits"]), mine(blocks=[1, 9])):
        assert inputs.printed_files(other, "fig2") == []
        assert printed.printed_by_role(other, "fig2").empty
    assert (printed.PRINTED.parents[2] / inputs.PRINTED) == printed.PRINTED
    assert inputs.PRINTED_BLOCKS == printed.BLOCKS


def test_shipped_values_are_the_printed_ones(shared):
    """All 240, against the paper's table as it was parsed; and the authors' summary in the three cells where it differs."""
    keys = ["target", "images", "source"]
    shipped = pd.read_csv(printed.PRINTED).set_index(keys)
    parsed = pd.read_csv(shared / "reference" / "table5_printed.csv").set_index(keys).reindex(shipped.index)
    assert (shipped["printed_percent"] == parsed["printed_percent"]).sum() == 240
    other = (parsed["printed_percent"] - parsed["summary_percent"]).abs() > 0.00501
    assert list(shipped.index[other]) == [("svhn", images, "linf_8") for images in (3200, 6400, 25_600)]
    assert (shipped["summary_percent"].notna() == other).all()
    assert (shipped["summary_percent"] - parsed["summary_percent"])[other].abs().max() < 0.00501
