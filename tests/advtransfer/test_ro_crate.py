"""The crate of some records: every reference leads somewhere, and the library for crates reads it."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from advtransfer import figure_records
from advtransfer.artefacts import made_of, save_json, save_table
from advtransfer.errors import InputError
from advtransfer.ro_crate import NAME, PROFILES, SNAKEMAKE, ro_crate

ROWS = "results/transfer/demo/natural/digits/blocks3_n100/seeds0-4.parquet"
TABLE = "results/tables/demo/fig2.csv"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Figure 2 and the claims' text of one experiment, figure 3 of another."""
    monkeypatch.chdir(tmp_path)
    for file in (
        "Snakefile",
        "config.yaml",
        *(f"figures/{name}" for name in ("fig2.pdf", "fig2.png", "fig3.pdf", "claims.md")),
    ):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text(f"made-up content of {file}")
    save_table(ROWS, pd.DataFrame({"seed": [0]}), made_of({}, "", {}))
    save_table(TABLE, pd.DataFrame({"mean": [0.5]}), made_of({}, "", {}))
    behind = [ROWS, TABLE]
    made = made_of({}, "", {})
    figure_records.write("figures/fig2.json", "fig2", "demo", ["figures/fig2.pdf", "figures/fig2.png"], made, behind)
    figure_records.write("figures/claims_text.json", "claims_text", "demo", ["figures/claims.md"], made, behind)
    figure_records.write("figures/fig3.json", "fig3", "published", ["figures/fig3.pdf"], made, behind)
    Path(TABLE).unlink()  # what is gone is no part
    return tmp_path


def references(value):
    """The identifiers that an entity refers to."""
    if isinstance(value, dict):
        return (
            [value["@id"]] if set(value) == {"@id"} else [one for below in value.values() for one in references(below)]
        )
    return [one for below in value for one in references(below)] if isinstance(value, list) else []


def test_every_reference_leads_to_one_entity_or_out(project):
    graph = ro_crate("demo")["@graph"]
    names = [entity["@id"] for entity in graph]
    assert len(names) == len(set(names))
    assert all(one in names or one.startswith("https://") for entity in graph for one in references(entity))
    parts = {entity["@id"]: entity for entity in graph if "File" in entity["@type"]}
    records = {"figures/fig2.json", "figures/claims_text.json"}
    assert (
        set(parts)
        == {"Snakefile", "config.yaml", "figures/fig2.pdf", "figures/fig2.png", "figures/claims.md", ROWS} | records
    )
    for file, entity in parts.items():
        content = (project / file).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))


def test_no_record_and_a_changed_one_are_refused(project):
    with pytest.raises(
        InputError, match=r"no record of experiment 'paper'\. First: snakemake --config experiment=paper"
    ):
        ro_crate("paper")
    path = project / "figures/fig2.json"
    path.write_text(path.read_text().replace("demo", "demos"))
    with pytest.raises(InputError, match=r"figures/fig2\.json: changed"):
        ro_crate("demo")


def test_the_library_for_crates_reads_it(project, tmp_path_factory):
    library = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    save_json(NAME, ro_crate("demo"))
    crate = library.ROCrate(project)
    assert crate.mainEntity.id == "Snakefile"
    assert crate.mainEntity["programmingLanguage"].id == SNAKEMAKE
    assert {profile.id for profile in crate.root_dataset["conformsTo"]} == set(PROFILES)
    assert {entity.id for entity in crate.data_entities} >= {"figures/fig2.pdf", ROWS}
    actions = {action.id: action for action in crate.root_dataset["mentions"]}
    assert set(actions) == {"#fig2", "#claims_text"}
    drawing = actions["#fig2"]
    assert drawing.type == "CreateAction"
    assert drawing["instrument"] is crate.mainEntity
    assert [result.id for result in drawing["result"]] == ["figures/fig2.pdf", "figures/fig2.png", "figures/fig2.json"]
    assert [one.id for one in drawing["object"]] == [ROWS]
    assert drawing["endTime"] == figure_records.read("figures/fig2.json")["made"]
    # It writes what it has read: nothing was dropped, and the files come along.
    copy = tmp_path_factory.mktemp("copy")
    crate.write(copy)
    written = json.loads((copy / NAME).read_text())["@graph"]
    assert {entity["@id"] for entity in written} >= {entity["@id"] for entity in ro_crate("demo")["@graph"]}
    assert (copy / ROWS).read_bytes() == (project / ROWS).read_bytes()
