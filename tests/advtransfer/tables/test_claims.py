"""Verdicts: planted claims get theirs, and with --shared those on the authors' logs are derived a second way, by plain pandas."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from advtransfer.config.claims import VERDICTS, read_claims
from advtransfer.tables import claims
from advtransfer.tables.claim_cells import Evidence, Measured, source_accuracies
from advtransfer.tables.printed import PRINTED
from advtransfer.tables.published import read_log
from experiments import PROJECT, an_experiment, read_config, resolved, rows_of

SCHEMA = PROJECT / "resources/claims.schema.yaml"
CLAIMS = {claim["id"]: claim for claim in read_claims(PROJECT / "resources/claims.yaml", SCHEMA)["claims"]}
AHEAD = {
    **{"id": "ahead", "paper": "utrera", "section": "Fig. 2", "claim": "robust is ahead", "statistic": "difference"},
    **{"evidence": "rows", "plus": {"role": "robust"}, "minus": {"role": "natural"}, "condition": {"above": 0}},
}


def judged(claim, lead, models=10, experiment=None):
    """The line of a claim on made-up rows; lead: of the robust source at (target, images, seed), a fraction, over noise of 0.002."""
    experiment = experiment or an_experiment(models)
    noise = np.random.default_rng(0)

    def accuracy(source, target, blocks, images, seed, epoch):
        return 0.5 + 0.01 * seed + (source == "l2") * lead(target, images, seed) + noise.normal(0, 0.002)

    evidence = Evidence(experiment, rows_of(experiment, accuracy), pd.read_csv(PRINTED), {}, {})
    return claims.judge(AHEAD | claim, evidence, 0.05)


def test_a_planted_true_claim_holds():
    line = judged({}, lambda target, images, seed: 0.05)
    assert (line["verdict"], line["cells"], line["cells_holding"]) == ("holds", 4, 4)
    assert line["low"] < 5 < line["high"]
    assert line["p"] < 1e-6
    assert line["missing"] == ""


def test_a_planted_false_claim_does_not_hold():
    line = judged({"condition": {"below": 0}}, lambda target, images, seed: 0.05)
    assert (line["verdict"], line["cells_holding"]) == ("does not hold", 0)
    line = judged({"plus": {"role": "natural"}, "minus": {"role": "robust"}}, lambda target, images, seed: 0.05)
    assert (line["verdict"], line["cells_holding"]) == ("does not hold", 0)
    assert line["value"] == pytest.approx(-5, abs=0.2)


def test_a_claim_that_holds_on_one_target_only_is_mixed():
    line = judged({}, lambda target, images, seed: 0.05 if target == "leaves" else -0.05)
    assert (line["verdict"], line["cells_holding"]) == ("mixed", 2)


def test_a_claim_that_nothing_decides_is_mixed():
    assert judged({}, lambda target, images, seed: 1e-5)["verdict"] == "mixed"


def test_mostly_takes_four_of_five_and_nothing_significant_against():
    experiment = an_experiment(10, targets=("leaves",), epochs=dict.fromkeys(map(str, range(100, 600, 100)), 20))
    experiment["sizes"] = {"leaves": [[images, 10] for images in range(100, 600, 100)]}
    slightly = judged(
        {}, lambda target, images, seed: 0.05 if images < 500 else 0.02 * (-1) ** seed - 0.005, experiment=experiment
    )
    assert (slightly["verdict"], slightly["cells_holding"]) == ("mostly", 4)
    clearly = judged({}, lambda target, images, seed: 0.05 if images < 500 else -0.05, experiment=experiment)
    assert (clearly["verdict"], clearly["cells_holding"]) == ("mixed", 4)


def test_single_models_decide_by_their_cells_alone():
    line = judged({}, lambda target, images, seed: 0.05, models=1)
    assert line["verdict"] == "holds"
    assert math.isnan(line["p"])
    assert math.isnan(line["low"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targets": ["mnist"]}, "none of the targets mnist"),
        ({"images": {"from": 5000}}, "none of its numbers of images"),
        ({"plus": {"role": "robust", "blocks": 5}}, "no cells with all that is compared"),
        ({"evidence": "printed"}, "choose experiment 'published'"),
        ({"statistic": "none", "missing": "nobody asked"}, "nobody asked"),
        ({"protocol": "paper"}, "speaks of protocol 'paper', the experiment has 'short'"),
    ],
)
def test_what_is_missing_is_said(change, words):
    line = judged(change, lambda target, images, seed: 0.05)
    assert line["verdict"] == "not testable"
    assert words in line["missing"]
    assert line["cells"] == line["cells_holding"] == 0


def test_a_source_without_a_role_is_missed():
    experiment = an_experiment(4, sources={"natural": "plain", "robust": "l2"})
    line = judged({"plus": {"role": "linf_small"}}, lambda target, images, seed: 0.05, experiment=experiment)
    assert line["missing"] == "the experiment has no source in the role linf_small"


def test_holm_by_hand():
    # Sorted: .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, .04 x 1 = .04, raised to .06.
    assert claims.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # What has no test does not count.
    found = claims.holm([0.01, math.nan, 0.04])
    assert found[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(found[1])
    assert claims.holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_what_its_steps_reject(values, level):
    """Step down: the smallest p against level / m, the next against level / (m - 1), ... until one fails."""
    adjusted = claims.holm(values)
    assert all(p <= found <= 1 for p, found in zip(values, adjusted, strict=True))
    rejected, going = set(), True
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        bound = (len(values) - rank) * values[index]
        if not math.isclose(bound, level) and going and bound < level:
            rejected.add(index)
        elif not math.isclose(bound, level):
            going = False
        else:
            return  # on the edge, rounding decides
    assert rejected == {index for index, p in enumerate(adjusted) if p < level}


COUNTS = st.integers(1, 40).flatmap(
    lambda cells: st.tuples(st.just(cells), st.integers(0, cells)).flatmap(
        lambda pair: st.tuples(
            st.just(pair[0]), st.just(pair[1]), st.integers(0, pair[1]), st.integers(0, pair[0] - pair[1])
        )
    )
)


@given(COUNTS, st.booleans())
def test_the_opposite_of_a_claim_has_the_opposite_verdict(counts, untested):
    cells, holding, favour, against = counts
    if untested:
        favour = against = 0
    found = claims.verdict(cells, holding, favour, against, not untested)
    reverse = claims.verdict(cells, cells - holding, against, favour, not untested)
    assert found in VERDICTS[:4]
    assert (found in ("holds", "mostly")) == (reverse == "does not hold")
    assert (found == "mixed") == (reverse == "mixed")


@given(COUNTS)
def test_verdicts_keep_their_words(counts):
    cells, holding, favour, against = counts
    found = claims.verdict(cells, holding, favour, against, True)
    if found in ("holds", "mostly"):
        assert against == 0
        assert favour > 0
        assert holding / cells >= 0.8 - 1e-12
    assert (found == "holds") == (holding == cells and favour > 0)
    if against and favour:
        assert found == "mixed"


def test_the_value_is_the_mean_over_cells_and_its_interval_over_seeds():
    rng = np.random.default_rng(1)
    values = rng.normal(3, 1, (4, 6))
    cells = [Measured((place,), row.mean(), True, pd.Series(row, range(6)), 0.01) for place, row in enumerate(values)]
    value, low, high = claims.overall(cells)
    expected = stats.t.interval(0.95, 5, values.mean(), stats.sem(values.mean(0)))
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(expected)
    # A cell of one seed has no part in it; one of fewer seeds limits it to those.
    cells.append(Measured((9,), 100.0, True, pd.Series([100.0], [0])))
    assert claims.overall(cells) == (value, low, high)
    cells.append(Measured((10,), 0.0, True, pd.Series([0.0, 1.0, -1.0], [3, 4, 5])))
    assert claims.overall(cells)[0] == pytest.approx(np.mean([*values[:, 3:].mean(1), 0.0]))


def test_markdown_counts_and_says_everything():
    content = {"level": 0.05, "claims": [AHEAD, AHEAD | {"id": "none", "statistic": "none", "missing": "a | b"}]}
    experiment = an_experiment(4, labels={"l2": "L2, half"})
    evidence = Evidence(experiment, rows_of(experiment, lambda *cell: 0.5), pd.read_csv(PRINTED), {}, {})
    text = claims.markdown(claims.claims(content, evidence), experiment)
    assert (
        "In the place of the paper's sources: natural: plain; L2: L2, half; Linf 4/255: small; Linf 8/255: large."
        in text
    )
    assert "| Utrera et al. 2020 | 0 | 0 | 1 | 0 | 1 |" in text
    assert r"| a \| b |" in text
    assert "| mixed | robust is ahead | Fig. 2 | difference | 0 of 4 | 0 [0, 0] | 1 |  |" in text


def test_both_stand_side_by_side():
    content = {"level": 0.05, "claims": [AHEAD]}
    tables = []
    for lead in (0.05, -0.05):
        experiment = an_experiment(4)
        rows = rows_of(experiment, lambda source, *cell, lead=lead: 0.5 + lead * (source == "l2"))
        tables.append(claims.claims(content, Evidence(experiment, rows, pd.read_csv(PRINTED), {}, {})))
    (line,) = claims.compared(*tables).to_dict("records")
    assert (line["verdict_published"], line["verdict"]) == ("holds", "does not hold")
    assert (line["value_published"], line["value"]) == pytest.approx((5, -5))


# ------------------------------------------------------------------------------------------- the authors' logs, a second way

EPSILONS = {"natural": 0, "robust": 3, "linf_small": 4, "linf_large": 8}


@pytest.fixture(scope="module")
def logs(shared):
    """The raw log of the authors, and the line of each claim on it."""
    file = shared / "reference/consolidated_results.csv.gz"
    experiment = resolved(read_config(), "published")
    tables = {
        "sources": source_accuracies({"natural": 76.13, "robust": 57.90, "linf_small": 62.42, "linf_large": 47.91})
    }
    evidence = Evidence(experiment, read_log(file), pd.read_csv(PRINTED), tables, {})
    raw = pd.read_csv(file)
    lines = {
        name: claims.judge(claim, evidence, 0.05)
        for name, claim in CLAIMS.items()
        if claim.get("evidence") in ("rows", "printed", "sources") or claim["statistic"] in ("count", "schedule")
    }
    return raw[raw["source_eps"].isin(list(EPSILONS.values()))], lines


def by_seed(raw, role, blocks=3, epoch=100, sizes=(100, 200, 400, 800, 1600), targets=None):
    """Test accuracy in percent: a row for each target and size, a column for each seed."""
    mine = raw[(raw["source_eps"] == EPSILONS[role]) & (raw["unfrozen_blocks"] == blocks) & (raw["epoch"] == epoch)]
    mine = mine[mine["num_training_images"].isin(sizes)]
    if targets:
        mine = mine[mine["target_ds"].isin(targets)]
    return mine.pivot(index=["target_ds", "num_training_images"], columns="seed", values="nat_prec1")


def second_verdict(values, bound=0.0, sign=1):
    """Verdict, cells, cells that hold, mean: of values [cells, seeds] that are claimed to lie above (sign 1) or below a bound."""
    values = sign * (values.dropna(how="all") - bound)
    p = stats.ttest_1samp(values, 0, axis=1).pvalue
    order, significant = np.argsort(p), np.zeros(len(p), bool)
    for rank, index in enumerate(order):
        if p[index] * (len(p) - rank) >= 0.05:
            break
        significant[index] = True
    holding = (values.mean(axis=1) > 0).to_numpy()
    share, favour, against = holding.mean(), (significant & holding).sum(), (significant & ~holding).sum()
    if against == 0 and favour and share == 1:
        verdict = "holds"
    elif against == 0 and favour and share >= 0.8:
        verdict = "mostly"
    elif favour == 0 and against and share <= 0.2:
        verdict = "does not hold"
    else:
        verdict = "mixed"
    return verdict, len(values), int(holding.sum()), sign * values.mean(axis=1).mean() + bound


def ours(line):
    return line["verdict"], line["cells"], line["cells_holding"], line["value"]


PAIRS = {
    "robust-transfers-better": (("robust", 3), ("natural", 3)),
    "fig4-3-blocks-over-1": (("robust", 3), ("robust", 1)),
    "fig4-1-block-over-0": (("robust", 1), ("robust", 0)),
    "fig5-small-over-large": (("linf_small", 3), ("linf_large", 3)),
    "fig5-l2-over-small": (("robust", 3), ("linf_small", 3)),
    "fig5-l2-over-large": (("robust", 3), ("linf_large", 3)),
    "fig10-natural-3-over-1": (("natural", 3), ("natural", 1)),
    "fig10-large-3-over-1": (("linf_large", 3), ("linf_large", 1)),
    "fig10-lead-with-0-blocks": (("robust", 0), ("natural", 0)),
    "fig10-lead-with-1-block": (("robust", 1), ("natural", 1)),
    "table5-small-over-natural": (("linf_small", 3), ("natural", 3)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_differences_on_the_logs(logs, name):
    raw, lines = logs
    plus, minus = (by_seed(raw, role, blocks) for role, blocks in PAIRS[name])
    verdict, cells, holding, value = second_verdict(plus - minus)
    assert ours(lines[name]) == (verdict, cells, holding, pytest.approx(value))
    sample = (plus - minus).dropna(how="all").mean(axis=0)
    interval = stats.t.interval(0.95, len(sample) - 1, sample.mean(), stats.sem(sample))
    assert (lines[name]["low"], lines[name]["high"]) == pytest.approx(interval)


@pytest.mark.parametrize("target", ["cifar100", "svhn", "fmnist", "mnist"])
def test_targets_on_the_logs(logs, target):
    raw, lines = logs
    values = by_seed(raw, "robust", targets=[target]) - by_seed(raw, "natural", targets=[target])
    verdict, cells, holding, value = second_verdict(values)
    assert ours(lines[f"fig2-{target}"]) == (verdict, cells, holding, pytest.approx(value))


def test_fewer_images_and_fewer_epochs_on_the_logs(logs):
    raw, lines = logs
    robust, natural = (
        by_seed(raw, "robust", sizes=(100, 200, 400, 800)),
        by_seed(raw, "natural", sizes=(200, 400, 800, 1600)),
    )
    natural.index = pd.MultiIndex.from_tuples([(target, images // 2) for target, images in natural.index])
    # (at_least: 0: no mean is exactly 0.)
    verdict, cells, holding, value = second_verdict(robust - natural)
    assert ours(lines["fig2-half-the-images"]) == (verdict, cells, holding, pytest.approx(value))
    early = by_seed(raw, "robust", epoch=21) - by_seed(raw, "natural")
    verdict, cells, holding, value = second_verdict(early)
    assert ours(lines["fig3-fifth-of-the-epochs"]) == (verdict, cells, holding, pytest.approx(value))


def test_the_trend_with_images_on_the_logs(logs):
    raw, lines = logs
    values = by_seed(raw, "robust") - by_seed(raw, "natural")
    slopes = values.groupby("target_ds").apply(
        lambda mine: mine.apply(lambda seed: np.polyfit(np.log2(mine.index.get_level_values(1)), seed, 1)[0])
    )
    verdict, cells, holding, value = second_verdict(slopes, sign=-1)
    assert ours(lines["more-with-less-data"]) == (verdict, cells, holding, pytest.approx(value))


def test_the_best_of_four_on_the_logs(logs):
    raw, lines = logs
    robust = by_seed(raw, "robust")
    leads = {role: (robust - by_seed(raw, role)).dropna(how="all") for role in ("natural", "linf_small", "linf_large")}
    places = sorted(set.intersection(*(set(values.index) for values in leads.values())))
    closest = [min(values.loc[place].mean() for values in leads.values()) for place in places]
    line = lines["table5-l2-best"]
    assert (line["cells"], line["cells_holding"]) == (len(places), sum(lead > 0 for lead in closest))
    assert line["value"] == pytest.approx(np.mean(closest))


def test_printed_means_a_second_way(logs):
    _, lines = logs
    wide = pd.read_csv(PRINTED).pivot(index=["target", "images"], columns="source", values="printed_percent")
    lead = wide["l2_3"] - wide["natural"]
    line = lines["robust-transfers-better-printed"]
    assert (line["cells"], line["cells_holding"], line["verdict"]) == (60, int((lead > 1e-9).sum()), "mostly")
    assert line["value"] == pytest.approx(lead.mean())
    correlations = [
        stats.spearmanr(mine.index.get_level_values(1), mine).statistic for _, mine in lead.groupby("target")
    ]
    line = lines["more-with-less-data-printed"]
    assert (line["cells"], line["cells_holding"]) == (6, sum(value < 0 for value in correlations))
    assert line["value"] == pytest.approx(np.mean(correlations))
    best = (wide["l2_3"] - wide.drop(columns="l2_3").max(axis=1)).round(6) > 0
    assert lines["table5-l2-best-printed"]["cells_holding"] == best.sum()


def test_slips_on_the_logs(logs):
    raw, lines = logs
    run = ["source_eps", "target_ds", "unfrozen_blocks", "num_training_images"]
    seeds = raw.drop_duplicates([*run, "seed"]).groupby(run).size()
    line = lines["models-in-the-logs"]
    assert (line["value"], line["verdict"]) == (seeds.sum(), "does not hold")
    small = seeds[seeds.index.get_level_values(3) <= 1600]
    line = lines["table2-20-seeds"]
    assert (line["cells"], line["cells_holding"], line["value"]) == (len(small), (small == 20).sum(), small.mean())
    assert line["verdict"] == "does not hold"
    assert lines["models-of-table2"]["value"] == 4 * 6 * 4 * (5 * 20 + 2 * 10 + 2 * 5 + 1)
    assert lines["about-5-percent"]["value"] == pytest.approx(87.56 - 83.77)
    assert lines["about-5-percent"]["verdict"] == lines["table5-fmnist-25600"]["verdict"] == "does not hold"


def test_the_logs_schedules_and_means(logs):
    raw, lines = logs
    last = raw[(raw["epoch"] == 100) & (raw["num_training_images"] <= 1600) & (raw["unfrozen_blocks"] == 3)]
    means = last.groupby(["target_ds", "num_training_images", "source_eps"])["nat_prec1"].mean()
    names = {0: "natural", 3: "l2_3", 4: "linf_4", 8: "linf_8"}
    printed = pd.read_csv(PRINTED).set_index(["target", "images", "source"])["printed_percent"]
    odd = [abs(mean - printed[target, images, names[epsilon]]) for (target, images, epsilon), mean in means.items()]
    line = lines["table5-logs"]
    assert (line["cells"], line["cells_holding"], line["verdict"]) == (
        len(odd),
        sum(gap < 0.0051 for gap in odd),
        "holds",
    )
    small = raw[raw["num_training_images"] <= 1600]
    runs = small.groupby(["source_eps", "target_ds", "unfrozen_blocks", "num_training_images", "seed"])["epoch"].agg(
        set
    )
    assert (runs.map(sorted).map(tuple) == (1, 21, 41, 61, 81, 100)).all()
    assert lines["table2-100-epochs"]["verdict"] == "holds"
    assert lines["table2-150-epochs"]["verdict"] == "does not hold"
    assert "ended after other epochs" in lines["fig2-longer-runs"]["missing"]


def test_enough_claims_are_tested_on_the_logs(logs):
    _, lines = logs
    main = [claim for claim in CLAIMS.values() if claim["paper"] == "utrera"]
    assert len(main) >= 45
    tested = [line for line in lines.values() if line["verdict"] != "not testable"]
    assert len(tested) >= 30
    assert {"liang", "nern", "zhang"} < {claim["paper"] for claim in CLAIMS.values()}
