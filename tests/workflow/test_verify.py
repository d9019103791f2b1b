"""`snakemake verify` in a finished experiment: records that the jobs wrote, and what is tampered with after."""

import json
import shutil

import pandas as pd
import pyarrow
from PIL import Image
from pyarrow import parquet

from advtransfer import figure_records

TINY = ["--configfile", "tiny.yaml"]
ROWS = "results/transfer/tiny/mini_l2/digits/blocks1_n20+40/seeds0-1.parquet"
SOURCE, TARGET = "results/sources/mini_natural.safetensors", "results/targets/digits.safetensors"


def test_what_is_tampered_with_is_named_and_nothing_runs(checkout, monkeypatch):
    text = checkout.snakemake("verify", *TINY).stdout
    records = len(list((checkout.folder / "figures").glob("*.json")))
    assert records == 3
    artefacts = [
        path for path in (checkout.folder / "results").rglob("*") if path.suffix in (".parquet", ".safetensors")
    ]
    told = f"Experiment tiny: {len(artefacts) + 3} artefacts and 3 records of figures and tables were compared, and all fit."
    assert told in text.splitlines()

    # The records are what lies there; they fit what the jobs were told, and what Snakemake measured.
    monkeypatch.chdir(checkout.folder)
    record = figure_records.read("figures/fig2.json")
    image = Image.open("figures/fig2.png")
    assert json.loads(image.info["provenance"]) == record["provenance"]
    assert image.info["Experiment"] == record["experiment"] == "tiny"
    pdf = (checkout.folder / "figures/fig2.pdf").read_bytes()
    assert b"/Subject (Experiment: tiny)" in pdf
    assert record["provenance"]["settings"].encode() in pdf
    rows = [file for file in record["behind"] if file.startswith("results/transfer/")]
    assert rows == [
        f"results/transfer/tiny/{source}/digits/blocks3_n20+40/seeds0-1.parquet"
        for source in ("mini_l2", "mini_natural")
    ]
    assert {SOURCE, TARGET, "results/tables/tiny/fig2.csv", "resources/sources/natural.safetensors"} < set(
        record["behind"]
    )
    measured = pd.read_csv(figure_records.benchmark_file(rows[0]), sep="\t")
    assert record["jobs"][rows[0]]["seconds"] == measured["s"].iloc[0]
    assert figure_records.describe_run("tiny")["jobs"]["transfer"]["jobs"] == 3

    # Rows edited by hand, with what they say of themselves kept; a source in the place of another; a table; figures; a record; code.
    table = pd.read_parquet(ROWS)
    known = parquet.read_metadata(ROWS).metadata
    table.loc[0, "test_accuracy"] += 0.01
    arrow = parquet.ParquetFile(ROWS).schema_arrow
    with parquet.ParquetWriter(ROWS, arrow.remove_metadata(), store_schema=False) as writer:
        writer.write_table(pyarrow.Table.from_pandas(table, arrow.remove_metadata(), preserve_index=False))
        writer.add_key_value_metadata({key.decode(): known[key].decode() for key in known})
    shutil.copy("results/sources/mini_l2.safetensors", SOURCE)
    for file, old, new in (("results/tables/tiny/fig4.csv", "0.", "1."), ("figures/table5.json", "digits", "digit")):
        checkout.edit(file, old, new)
    for file in ("figures/fig2.pdf", "figures/fig4.png"):
        with open(file, "ab") as content:
            content.write(b"\n")
    with open("scripts/subset.py", "a") as script:
        script.write("\n\nCHANGED = True\n")
    before = {path: path.stat().st_mtime_ns for path in checkout.folder.glob("[fr]*/**/*") if "logs" not in path.parts}
    result = checkout.snakemake("verify", *TINY, check=False)
    assert result.returncode == 1
    said = result.stdout.splitlines()
    tampered = (
        ROWS,
        SOURCE,
        "results/tables/tiny/fig4.csv",
        "figures/table5.json",
        "figures/fig2.pdf",
        "figures/fig4.png",
    )
    for file in tampered:
        assert sum(line.startswith(f"{file}: ") for line in said) == 1, result.stdout
    for images in (20, 40):
        assert any(
            line.startswith(f"results/subsets/digits/n{images}.parquet: made by other code than") for line in said
        )
    assert any(line.startswith("Experiment tiny: 8 files do not fit (see above), and ") for line in said)
    assert "Traceback" not in result.stdout
    after = {path: path.stat().st_mtime_ns for path in checkout.folder.glob("[fr]*/**/*") if "logs" not in path.parts}
    assert after == before
