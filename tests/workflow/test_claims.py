"""The verdicts through Snakemake: on the authors' logs (with --shared), made again when, and only when, something changed."""

import pandas as pd
import pytest

ASKED = ["figures/claims.csv", "figures/claims.md", "figures/claims.pdf"]
BESIDE = "figures/claims_compared.pdf"


@pytest.fixture
def audited(fresh, shared):
    """The claims, tested on the authors' logs, and how to ask for them again."""
    arguments = [*ASKED, "--config", "experiment=published", f"mirror={shared / 'reference'}"]
    fresh.snakemake("-c1", *arguments)
    return fresh, arguments


def test_the_papers_logs_are_audited(audited):
    checkout, arguments = audited
    table = pd.read_csv(checkout.folder / "figures/claims.csv").set_index("id")
    assert table.loc["robust-transfers-better", "verdict"] == "holds"
    assert table.loc["models-of-table2", "verdict"] == "does not hold"
    assert (table["verdict"] != "not testable").sum() >= 30
    assert table.loc[table["verdict"] == "not testable", "missing"].str.len().min() > 10
    assert "# Claims, tested on experiment published" in (checkout.folder / "figures/claims.md").read_text()
    # Command lines and planning agree on what makes each artefact.
    assert checkout.planned(*arguments) == {}
    assert "made with other" not in checkout.snakemake("-n", *arguments).stdout
    # A changed statement tests all of them again, and nothing else; what one experiment says does not change another one's table.
    checkout.edit("resources/claims.yaml", "level: 0.05", "level: 0.01")
    planned = checkout.planned(*arguments)
    assert set(planned) == {"claims", "claims_text", "figure"}
    demo = checkout.planned(BESIDE, "--config", "experiment=demo")
    assert demo["claims"] == ["results/tables/demo/claims.csv"]
    assert demo["claims_compared"] == ["results/tables/demo/claims_compared.csv"]
    # A statement that means nothing ends in one line.
    checkout.edit("resources/claims.yaml", "statistic: trend", "statistic: tend")
    text = checkout.snakemake("-c1", *arguments, check=False).stdout
    assert "claims.yaml: claim 'more-with-less-data', statistic: found 'tend'. Choose one of:" in text
    assert "Traceback" not in text


def test_nothing_stands_beside_before_the_logs_are_audited(fresh):
    text = fresh.snakemake("-n", BESIDE, check=False).stdout
    assert (
        "experiment 'demo' has no verdicts on the paper's logs beside it. First: snakemake figures/claims.csv" in text
    )
