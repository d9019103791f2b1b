"""What can be asked for is said as it is."""

import pytest

from advtransfer import spectrum
from advtransfer.config import inputs
from advtransfer.config.catalogue import CATALOGUE
from advtransfer.config.claims import TABLES
from advtransfer.config.inspection import LARGEST_HESSIAN, resolve_inspection
from advtransfer.config.outputs import listing, outputs, page, refuse_unknown, wanted_by_default
from advtransfer.errors import InputError
from experiments import PROJECT, counts_of, read_config, resolved


def asked(name, **changes):
    """The configuration, the experiment and what it looks into."""
    config = read_config()
    config["experiments"][name] |= changes
    experiment = resolved(config, name)
    return config, experiment, resolve_inspection(config, experiment, counts_of(config))


def audited(folder):
    """The claims have been tested on the paper's own logs."""
    file = folder / inputs.AUDIT
    file.parent.mkdir(parents=True)
    file.touch()


def test_the_page_is_the_catalogues():
    written = (PROJECT / "docs" / "outputs.md").read_text(encoding="utf-8")
    assert written == page(), "run: uv run snakemake -f docs/outputs.md"


def test_the_list_has_a_line_for_everything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audited(tmp_path)
    lines = listing(*asked("demo"))
    assert lines[0].startswith("Experiment demo, protocol demo.")
    (line,) = [line for line in lines if line.startswith("  fig2.pdf ")]
    # 2 sources, 4 sizes, 20 seeds on digits and 10 on glyphs.
    assert line.endswith("and their difference (Fig. 2) [240 models, 240 to train]")
    for entry in CATALOGUE.values():
        assert sum(entry.caption in line for line in lines) == 1
    absent = [line for line in lines if "not here" in line]
    assert len(absent) == 1
    assert (
        "Table 5, cell by cell (Table 5) [not here: the experiment shares no target with the paper's Table 5"
        in absent[0]
    )


def test_the_list_says_what_an_experiment_lacks():
    lines = listing(*asked("published"))
    (line,) = [line for line in lines if line.startswith("  fig7.pdf ")]
    assert "not here: the experiment has no networks to look into" in line
    (line,) = [line for line in lines if line.startswith("  fig2.pdf ")]
    assert line.endswith("[the authors' logs]")


def test_by_default_everything_that_needs_no_further_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "figures/table4.csv" not in wanted_by_default(*asked("published"))
    assert "figures/source_robustness.pdf" not in wanted_by_default(*asked("paper"))
    everything = {file for entry in CATALOGUE.values() for file in entry.outputs}
    # The demo has none of the paper's targets.
    everything -= set(CATALOGUE["reproduction"].outputs)
    compared = {f"figures/claims_compared.{ending}" for ending in ("pdf", "png", "json")}
    assert set(wanted_by_default(*asked("demo"))) == everything - compared
    audited(tmp_path)
    assert set(wanted_by_default(*asked("demo"))) == everything
    assert "figures/reproduction.pdf" in wanted_by_default(*asked("slice"))
    assert not compared & set(wanted_by_default(*asked("published")))
    assert "figures/claims.csv" in wanted_by_default(*asked("published"))


def test_verdicts_stand_beside_those_on_the_papers_logs_once_there_are_some(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, experiment, _ = asked("demo")
    with pytest.raises(InputError, match=r"'demo' has no verdicts on the paper's logs beside it\. First: snakemake"):
        inputs.audited(config, experiment)
    audited(tmp_path)
    assert inputs.audited(config, experiment) == inputs.AUDIT
    (line,) = [line for line in listing(*asked("published")) if line.startswith("  claims_compared.pdf ")]
    assert "not here: the experiment is the one that others stand beside" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"targets": ["digits", "glyphs"], "images": [100]},
            "shares no target with the paper's Table 5, which prints cifar100",
        ),
        ({"images": [150]}, "shares no number of images with the paper's Table 5, which prints 100, 200, 400"),
        ({"blocks": [1], "figures": {"reproduction": {"blocks": [1]}}}, "has no model with 3 trained blocks, which"),
        ({"blocks": [1]}, "has no model of reproduction, which shows 3 blocks trained; the experiment has 1 block"),
    ],
)
def test_nothing_stands_beside_table_5_where_no_cell_is_shared(changes, words):
    changes = {"sources": {"natural": "mini_natural", "robust": "mini_l2"}, "protocol": "demo", **changes}
    config, experiment, inspection = asked("slice", **changes)
    assert words in inputs.lacking(config, experiment, inspection, CATALOGUE["reproduction"])
    with pytest.raises(InputError, match=r"results/tables/slice/reproduction: experiment 'slice' (has|shares) no "):
        inputs.experiment_rows(experiment, "slice", "reproduction")


def test_any_protocol_and_any_network_in_a_role_stands_beside_table_5():
    config, experiment, inspection = asked("ladder")
    assert inputs.lacking(config, experiment, inspection, CATALOGUE["reproduction"]) == ""
    assert inputs.printed_files(experiment, "reproduction") == [inputs.PRINTED]


def test_claims_need_what_the_experiment_can_make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files, words = inputs.claimed_tables(*asked("published"))
    assert not files
    assert set(words) == set(TABLES)
    files, words = inputs.claimed_tables(*asked("demo"))
    assert set(files) == set(TABLES)
    assert not words
    (line,) = [line for line in listing(*asked("published")) if line.startswith("  claims.csv ")]
    assert line.endswith("(beyond the paper) [the authors' logs]")


def test_a_hessian_that_is_too_large_is_not_computed_by_default():
    assert LARGEST_HESSIAN == spectrum.LARGEST_HESSIAN
    # The paper's: 10 classes, 2,048 features.
    paper = asked("paper")
    assert paper[2]["influence_cut"]["hessian_rows"] == 9 * 2049
    assert "figures/influence_cut.pdf" in wanted_by_default(*paper)
    large = asked("paper", influence={"target": "cifar100", "images": 400})
    assert "figures/influence_cut.pdf" not in wanted_by_default(*large)
    assert "figures/fig8.pdf" in wanted_by_default(*large)


def test_the_nearest_names_answer_a_misspelt_one():
    with pytest.raises(
        InputError, match=r"figures/fig22\.pdf: there is no such figure or table\. Did you mean figures/fig2\.pdf"
    ):
        refuse_unknown("fig22.pdf")
    with pytest.raises(InputError, match="'snakemake list' shows all"):
        refuse_unknown("zzz")
    assert "table5.md" in outputs()


def test_the_tables_of_claims_have_the_order_that_their_job_sees():
    """It gets them as JSON with sorted keys, and the hash of all of them depends on the order."""
    tables, _ = inputs.claimed_tables(*asked("demo"))
    assert len(tables) > 3
    assert list(tables) == sorted(tables)
