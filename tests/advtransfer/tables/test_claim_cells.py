"""Each statistic against plain pandas and scipy on made-up rows; tests against scipy's."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advtransfer.errors import InputError
from advtransfer.tables.claim_cells import Evidence, cells_of, source_accuracies
from experiments import an_experiment, read_config, resolved, rows_of

ROBUST, NATURAL = {"role": "robust"}, {"role": "natural"}
PRINTED_COLUMNS = ["target", "images", "source", "printed_percent", "summary_percent"]


def claim(statistic, **changes):
    common = {"id": "one", "paper": "utrera", "section": "Fig. 2", "claim": "robust is ahead", "statistic": statistic}
    sides = {"evidence": "rows", "plus": ROBUST, "minus": NATURAL, "condition": {"above": 0}}
    return {**common, **(sides if statistic in ("difference", "trend", "rank_correlation") else {}), **changes}


@pytest.fixture(scope="module")
def rows():
    """Random accuracies of a trial with four sizes."""
    rng = np.random.default_rng(4)
    return rows_of(trial(), lambda *cell: rng.uniform(0.2, 0.9))


def trial(**changes):
    sizes = {target: [[images, 5] for images in (100, 200, 400, 800)] for target in ("leaves", "stones")}
    epochs = dict.fromkeys(map(str, (100, 200, 400, 800)), 20)
    return an_experiment(5, sizes=sizes, epochs=epochs) | changes


def evidence_of(rows, experiment=None, printed=(), tables=None, lacking=None):
    return Evidence(
        experiment or trial(), rows, pd.DataFrame(printed, columns=PRINTED_COLUMNS), tables or {}, lacking or {}
    )


def wide(rows, source, blocks=3, epoch=20):
    mine = rows[(rows["source"] == source) & (rows["blocks"] == blocks) & (rows["epoch"] == epoch)]
    return 100 * mine.pivot(index=["target", "images"], columns="seed", values="test_accuracy")


def test_differences_are_paired_by_seed(rows):
    gone = rows[~((rows["source"] == "l2") & (rows["seed"] == 2) & (rows["images"] == 400))]
    found = cells_of(claim("difference"), evidence_of(gone))
    expected = (wide(gone, "l2") - wide(gone, "plain")).mean(axis=1)
    assert {cell.place[:2]: cell.value for cell in found.cells} == pytest.approx(expected.to_dict())
    assert [len(cell.by_seed) for cell in found.cells] == [5, 5, 4, 5] * 2
    assert found.missing == ""


def test_sides_may_have_other_sizes_epochs_and_blocks(rows):
    evidence = evidence_of(rows)
    half = cells_of(claim("difference", minus={"role": "natural", "images_times": 2}), evidence)
    robust, natural = wide(rows, "l2").mean(axis=1), wide(rows, "plain").mean(axis=1)
    assert {cell.place[:2]: cell.value for cell in half.cells} == pytest.approx(
        {
            (target, n): robust[target, n] - natural[target, 2 * n]
            for target in ("leaves", "stones")
            for n in (100, 200, 400)
        }
    )
    both = {"plus": [{"role": "robust", "epoch": 11}, NATURAL], "minus": [{"role": "natural", "epoch": 11}, ROBUST]}
    early = cells_of(claim("difference", **both), evidence)
    expected = wide(rows, "l2", epoch=11) - wide(rows, "plain", epoch=11) - (wide(rows, "l2") - wide(rows, "plain"))
    assert [cell.value for cell in early.cells] == pytest.approx(list(expected.mean(axis=1)))
    best = cells_of(claim("difference", plus={"role": "robust", "blocks": 1, "epoch": "best"}), evidence)
    highest = (
        rows[(rows["source"] == "l2") & (rows["blocks"] == 1)]
        .groupby(["target", "images", "seed"])["test_accuracy"]
        .max()
    )
    expected = 100 * highest.unstack() - wide(rows, "plain")
    assert [cell.value for cell in best.cells] == pytest.approx(list(expected.mean(axis=1)))
    epochs = cells_of(claim("difference", epochs=[1, 11], images={"only": [200]}), evidence)
    assert [cell.place for cell in epochs.cells] == [(t, 200, epoch) for t in ("leaves", "stones") for epoch in (1, 11)]


def test_runs_of_other_epochs_are_left_out_and_said(rows):
    short = rows[~((rows["images"] == 800) & (rows["epoch"] == 20))]
    found = cells_of(claim("difference"), evidence_of(short))
    assert {cell.place[1] for cell in found.cells} == {100, 200, 400}
    assert found.missing == "2 of 8 cells are left out: their runs ended after other epochs than the protocol's"
    found = cells_of(claim("difference", runs="any"), evidence_of(short))
    assert len(found.cells) == 8
    assert found.missing == "2 of 8 cells are of runs that ended after other epochs than the protocol's"
    none = cells_of(claim("difference", images={"only": [800]}), evidence_of(short))
    assert not none.cells
    assert "2 of 2 cells are left out" in none.missing
    gone = cells_of(claim("difference"), evidence_of(rows[rows["source"] != "l2"]))
    assert (gone.cells, gone.missing) == ([], "8 of 8 cells have no models, or too few")


def test_trends_are_slopes_by_seed(rows):
    found = cells_of(claim("trend"), evidence_of(rows))
    leads = wide(rows, "l2") - wide(rows, "plain")
    for cell in found.cells:
        mine = leads.loc[cell.place[0]]
        expected = [stats.linregress(np.log2(mine.index), mine[seed]).slope for seed in mine]
        assert list(cell.by_seed) == pytest.approx(expected)
        assert cell.p == pytest.approx(stats.ttest_1samp(expected, 0).pvalue)
    few = cells_of(claim("trend", images={"to": 200}), evidence_of(rows))
    assert (few.cells, few.missing) == ([], "no target has 3 numbers of images with all that is compared")


def test_rank_correlations_are_of_the_means(rows):
    found = cells_of(claim("rank_correlation"), evidence_of(rows))
    leads = (wide(rows, "l2") - wide(rows, "plain")).mean(axis=1)
    for cell in found.cells:
        mine = leads.loc[cell.place[0]]
        assert cell.value == pytest.approx(stats.spearmanr(mine.index, mine).statistic)
        assert 0 < cell.p <= 1


def test_the_best_is_ahead_of_each_rival(rows):
    rivals = [NATURAL, {"role": "linf_small"}, {"role": "linf_large"}]
    raised = rows.assign(test_accuracy=rows["test_accuracy"] / 10 + 0.4 * (rows["source"] == "l2"))
    for data, ahead in ((rows, None), (raised, True)):
        found = cells_of(claim("best", evidence="rows", plus=ROBUST, rivals=rivals), evidence_of(data))
        leads = {name: wide(data, "l2") - wide(data, name) for name in ("plain", "small", "large")}
        for cell in found.cells:
            mine = {name: values.loc[cell.place[:2]] for name, values in leads.items()}
            tests = {name: stats.ttest_1samp(values, 0).pvalue for name, values in mine.items()}
            assert cell.value == pytest.approx(min(values.mean() for values in mine.values()))
            assert ahead is None or cell.met == ahead
            behind = [tests[name] for name, values in mine.items() if values.mean() <= 0]
            assert cell.p == pytest.approx(min(1, 3 * min(behind)) if behind else max(tests.values()))


def published(rows):
    """The trial as one whose rows are the authors', and printed means: of natural right, of robust wrong by 1."""
    means = {source: wide(rows, source).mean(axis=1) for source in ("plain", "l2")}
    printed = [
        [target, images, name, round(means[source][target, images], 2) + off, 50.0 if images == 100 else None]
        for source, name, off in (("plain", "natural", 0), ("l2", "l2_3", 1))
        for target in ("leaves", "stones")
        for images in (100, 200)
    ]
    return evidence_of(rows, trial(rows="log.parquet"), printed)


def test_agreement_counts_the_means_that_are_printed(rows):
    found = cells_of(claim("agreement", evidence="rows", within=0.0051), published(rows))
    assert [cell.met for cell in found.cells] == [True] * 4 + [False] * 4
    assert [cell.value for cell in found.cells][4:] == pytest.approx([-1] * 4, abs=0.006)
    # Where the authors' summary has no value of its own, it is the printed one.
    found = cells_of(claim("agreement", evidence="printed", within=0.0051, roles=["natural"]), published(rows))
    assert [cell.met for cell in found.cells] == [False, True] * 2


def test_printed_sides_are_looked_up(rows):
    found = cells_of(claim("difference", evidence="printed"), published(rows))
    assert [cell.value for cell in found.cells] == pytest.approx(
        list((wide(rows, "l2") - wide(rows, "plain")).mean(axis=1).loc[pd.IndexSlice[:, [100, 200]]] + 1), abs=0.011
    )
    assert all(math.isnan(cell.p) for cell in found.cells)


def test_counts_and_schedules(rows):
    evidence = published(rows[~((rows["source"] == "large") & (rows["seed"] == 4))])
    found = cells_of(claim("count", per="cell", condition={"between": [5, 5]}), evidence)
    assert sum(cell.met for cell in found.cells) == 3 * 2 * 4 * 4
    assert sum(not cell.met for cell in found.cells) == 2 * 4 * 4
    (cell,) = cells_of(claim("count", condition={"at_least": 1}), evidence).cells
    assert cell.value == 3 * 2 * 4 * 4 * 5 + 2 * 4 * 4 * 4
    plan = {"sources": 2, "targets": 3, "blocks": 1, "seeds": [20, 10]}
    (cell,) = cells_of(claim("count", planned=plan, condition={"between": [180, 180]}), evidence).cells
    assert cell.met
    short = published(
        rows[~((rows["target"] == "leaves") & (rows["images"] == 100) & (rows["epoch"] == 11) & (rows["seed"] == 0))]
    )
    cells = cells_of(claim("schedule", epochs=[20, 1, 11]), short).cells
    assert {cell.place: round(cell.value, 6) for cell in cells if not cell.met} == {("leaves", 100): 0.8}
    assert len(cells) == 8


def test_tables_are_read_by_line(rows):
    table = pd.DataFrame(
        {"target": ["a", "a", "b", "b"], "source": ["l2", "plain"] * 2, "value": [1.0, 3.0, 5.0, 4.0], "kind": "x"}
    )
    evidence = evidence_of(rows, tables={"robustness_bound": table}, lacking={"fig8_summary": "has none"})
    of_table = {"evidence": "robustness_bound", "column": "value", "condition": {"below": 0}}
    found = cells_of(
        claim("table", **of_table, where={"role": "robust"}, less={"role": "natural"}, by=["target"]), evidence
    )
    assert [cell.value for cell in found.cells] == [-2, 1]
    assert [cell.met for cell in found.cells] == [True, False]
    assert len(cells_of(claim("table", **of_table), evidence).cells) == 4
    assert (
        cells_of(claim("table", **of_table, where={"kind": "y"}), evidence).missing
        == "robustness_bound has no such lines"
    )
    with pytest.raises(InputError, match=r"claim 'one': table robustness_bound has no column 'vaule'\. Correct it\."):
        cells_of(claim("table", **{**of_table, "column": "vaule"}), evidence)
    found = cells_of(claim("table", **{**of_table, "evidence": "fig8_summary"}), evidence)
    assert found.missing == "needs fig8_summary: the experiment has none"


def test_published_accuracies_of_sources():
    table = source_accuracies({"natural": 76.13, "robust": 57.9, "linf_large": 47.91, "linf_small": None}).set_index(
        "role"
    )
    assert table.loc["natural", "above_best_rival"] == pytest.approx(18.23)
    assert table.loc["linf_large", "above_worst_rival"] == pytest.approx(-9.99)
    assert list(source_accuracies({"natural": None, "robust": None})) == ["role", *table.columns]


def test_no_models_at_all(rows):
    found = cells_of(claim("difference"), evidence_of(None))
    assert (found.cells, found.missing) == ([], "the experiment has no models of the paper's figures")


def test_the_projects_claims_have_cells_or_reasons_on_every_experiment(rows):
    from advtransfer.config.claims import TABLES, read_claims
    from experiments import PROJECT

    content = read_claims(PROJECT / "resources/claims.yaml", PROJECT / "resources/claims.schema.yaml")
    for name in ("demo", "slice", "paper", "resolution"):
        experiment = resolved(read_config(), name)
        made = rows_of(
            {
                **experiment,
                "fig3": {"epochs": [1, 11, 21, 30]},
                "sizes": {t: s[:2] for t, s in experiment["sizes"].items()},
            }
        )
        evidence = evidence_of(
            made, experiment, tables={"sources": source_accuracies({})}, lacking=dict.fromkeys(TABLES, "is made up")
        )
        for one in content["claims"]:
            found = cells_of(one, evidence)
            assert found.cells or found.missing, (name, one["id"])
