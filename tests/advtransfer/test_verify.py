"""What was changed after it was made is named, and nothing else: in a folder of made-up artefacts that fit the demo's recipes."""

import functools
import graphlib
import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pyarrow import parquet

from advtransfer import figure_records
from advtransfer.artefacts import PROVENANCE, made_of, save_arrays, save_table, statement
from advtransfer.config import inputs, stale
from advtransfer.config.catalogue import CATALOGUE
from advtransfer.config.inspection import resolve_inspection
from advtransfer.config.lineage import Lineage
from advtransfer.config.recipes import Recipe, all_recipes, hash_on_disk
from advtransfer.verify import MOST_NAMED, Finding, Verdict, lines, summary, verify
from experiments import PROJECT, counts_of, read_config, resolved

SOURCE, OTHER = (f"results/sources/mini_{name}.safetensors" for name in ("natural", "l2"))
TABLE = "results/tables/demo/fig2.csv"
AGAIN = "Make it again: snakemake -f {file}"


class Folder(NamedTuple):
    """A finished experiment: what `verify` is told, the recipe of each artefact, and what lies behind it."""

    chosen: tuple
    recipes: dict[str, Recipe]
    lineage: Lineage

    def verify(self):
        """What is found now."""
        hash_on_disk.cache_clear()
        return verify(*self.chosen)

    def named(self):
        """{file: what is found of it}."""
        return {finding.file: finding.finding for finding in self.verify().findings}

    def make(self, file, **changes):
        """Write one artefact as its recipe says, but for some of it."""
        hash_on_disk.cache_clear()
        write(file, {**stale.expected(self.recipes[file], stale.says_of), **changes})

    def record(self, figure, experiment="demo"):
        """Write a figure's record, of all that lies behind it now."""
        table = f"results/tables/demo/{figure}.{CATALOGUE[figure].table}"
        made = stale.expected(self.recipes[f"figures/{figure}.png"], stale.says_of)
        files = [f"figures/{figure}.pdf", f"figures/{figure}.png"]
        record = [f"figures/{figure}.json", figure, experiment, files, made, self.lineage.behind([table])]
        figure_records.write(*record)


def write(file, provenance, value=0.5):
    """A small artefact, or a picture, that says what made it."""
    if file.endswith(".safetensors"):
        save_arrays(file, {"values": np.full(9, value)}, {"file": file, PROVENANCE: provenance})
    elif file.endswith(".png"):
        text = PngInfo()
        text.add_text(PROVENANCE, json.dumps(provenance))
        Path(file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(file, pnginfo=text)
    else:
        save_table(file, pd.DataFrame({"file": [file], "value": [value]}), provenance)


def fill():
    """Everything that a small demo makes, in the order of its making."""
    config = read_config()
    config["experiments"]["demo"] |= {"targets": ["digits"], "images": [100, 200], "seeds": 2, "blocks": [0, 3]}
    for name in ("claims.yaml", "published/table5.csv"):
        Path("resources", name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(PROJECT / "resources" / name, Path("resources", name))
    Path("resources/sources").mkdir()
    for name, entry in config["sources"].items():
        if entry["kind"] == "file":
            Path(entry["path"]).write_text(f"weights of {name}")
            entry["hash"] = f"sha256:{hashlib.sha256(f'weights of {name}'.encode()).hexdigest()}"
    write(inputs.AUDIT, made_of({}, "", {}))  # of experiment published
    experiment, counts = resolved(config, "demo"), counts_of(config)
    chosen = (config, experiment, resolve_inspection(config, experiment, counts), counts)
    folder = Folder(chosen, dict(all_recipes(*chosen, tables=True)), Lineage(*chosen))
    for file in graphlib.TopologicalSorter(folder.lineage.inputs).static_order():
        if file in folder.recipes:
            folder.make(file)
    for name, entry in CATALOGUE.items():
        if "pdf" in entry.endings and f"figures/{name}.png" not in folder.recipes:
            continue  # the demo cannot show it
        table = f"results/tables/demo/{name}.{entry.table}"
        for file in entry.files:
            if file.endswith(".csv") and Path(table).is_file():
                shutil.copy(table, file)
            elif not file.endswith(".png"):
                Path(file).write_text(f"made-up text of {file}")
        if "pdf" in entry.endings:
            folder.record(name)
        if "md" in entry.endings:
            written = [file for file in entry.files if not file.endswith((".pdf", ".png"))]
            behind = folder.lineage.behind([table] if Path(table).is_file() else [SOURCE])
            figure_records.write(entry.records[-1], name, "demo", written, made_of({}, "", {}), behind)
    return folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    place = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        # What takes seconds, and is tested for itself.
        patch.setattr(stale, "code_of", lambda *files: "".join(files))
        patch.setattr(figure_records, "revision", lambda: None)
        for name in ("hardware", "versions"):
            patch.setattr(figure_records, name, functools.cache(getattr(figure_records, name)))
        yield place, fill()


@pytest.fixture
def folder(filled, tmp_path, monkeypatch):
    """A copy, to be changed at will."""
    shutil.copytree(filled[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return filled[1]


def edit(file):
    """Change one value of a file by hand, and nothing of what the file says of itself."""
    path = Path(file)
    if path.suffix == ".parquet":
        read = parquet.ParquetFile(path)
        table, known = read.read(), read.metadata.metadata
        table = table.set_column(1, "value", pyarrow.array([0.75])).replace_schema_metadata(None)
        with parquet.ParquetWriter(path, table.schema, write_page_checksum=True, store_schema=False) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({key.decode(): known[key].decode() for key in known})
    elif path.suffix == ".safetensors":
        path.write_bytes(path.read_bytes()[:-8] + np.float64(0.75).tobytes())
    elif path.suffix == ".json":
        path.write_text(path.read_text().replace('"demo"', '"slice"', 1))
    elif path.suffix == ".csv":
        text = path.read_text()
        path.write_text(text.replace("0.5", "0.75") if "0.5" in text else f"{text}0.75")
    else:
        path.write_bytes(path.read_bytes() + b" ")


def test_all_fits_what_was_made_as_the_recipes_say(folder):
    verdict = folder.verify()
    assert verdict.findings == []
    assert verdict.followers == 0
    assert verdict.artefacts > 200
    assert verdict.strangers == 1
    # The demo has nothing to show beside the paper's Table 5.
    shown = [entry for name, entry in CATALOGUE.items() if name != "reproduction"]
    assert verdict.records == sum(len(entry.records) for entry in shown)
    assert list(lines(verdict)) == []
    assert summary(verdict, "demo") == (
        f"Experiment demo: {verdict.artefacts} artefacts (1 of them with their own hash alone) and {verdict.records} records of "
        "figures and tables were compared, and all fit."
    )


def test_every_file_that_is_edited_is_named_and_no_other(folder):
    """One of each kind of artefact, all files in figures/ of some figures, and as many more at random, at once and in two halves."""
    kinds = {file.split("/")[1] + Path(file).suffix: file for file in folder.recipes if file.startswith("results/")}
    shown = [file for name in ("fig2", "fig7", "fig8", "table5", "table1", "claims") for file in CATALOGUE[name].files]
    shown += ["figures/robustness_bound.csv", "figures/fig3.json", "figures/table2.json"]
    everything = sorted({*kinds.values(), *shown, *random.Random(0).sample(sorted(folder.recipes), 20)} - {SOURCE})
    assert len(everything) > 40
    # A figure whose table cannot be trusted is not held against it; those of the other half are intact.
    for half in (everything[::2], everything[1::2]):
        for file in half:
            edit(file)
        assert set(folder.named()) >= set(half)
        assert set(folder.named()) <= set(everything)
    assert set(folder.named()) == set(everything)


def test_a_line_names_place_finding_and_remedy(folder):
    rows = next(file for file in folder.recipes if file.startswith("results/transfer/"))
    for file in (rows, TABLE, "figures/fig3.pdf", "figures/fig4.json"):
        edit(file)
    verdict = folder.verify()
    assert sorted(lines(verdict)) == sorted(
        [
            f"{rows}: damaged, the table is not as it was written. Remove it and make it again.",
            f"{TABLE}: damaged, it has not the hash in {TABLE}.sha256. Remove both and make them again.",
            "figures/fig3.pdf: changed, it has not the hash in figures/fig3.json. Make it again: snakemake -f figures/fig3.pdf",
            "figures/fig4.json: changed, it has not the hash that it states. Remove it and make the figure or table again.",
        ]
    )
    assert summary(verdict, "demo").startswith("Experiment demo: 4 files do not fit (see above); ")


@pytest.mark.parametrize("kind", ["sources", "targets", "transfer"])
def test_an_artefact_in_the_place_of_another_is_named_and_what_was_made_of_it_is_not(folder, kind):
    """Each of the two is intact in itself."""
    mine, other = sorted(file for file in folder.recipes if file.startswith(f"results/{kind}/"))[:2]
    if kind == "sources":
        mine, other = SOURCE, OTHER
    shutil.copy(other, mine)
    verdict = folder.verify()
    assert [finding.file for finding in verdict.findings] == [mine]
    assert verdict.followers > 0
    assert f", and {verdict.followers} more were made of them; " in summary(verdict, "demo")


def test_a_replaced_checkpoint_is_named_with_the_hash_that_is_stated_for_it(folder):
    config = folder.chosen[0]
    entry = config["sources"]["mini_natural"]
    Path(entry["path"]).write_text("other weights")
    named = folder.named()
    assert list(named) == [entry["path"]]
    assert named[entry["path"]].endswith(f"the configuration states {entry['hash']}")


def test_a_source_that_was_read_from_another_checkpoint_is_named(folder):
    expected = stale.expected(folder.recipes[SOURCE], stale.says_of)
    folder.make(SOURCE, inputs={**expected["inputs"], "checkpoint": "sha256:0"})
    assert folder.named() == {SOURCE: "made of another resources/sources/natural.safetensors than now on disk"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": "f" * 16}, "made by other code than that in scripts/ now"),
        ({"settings": "0" * 32}, "made with other settings than the configuration now states"),
        ({"inputs": {}}, "made of another results/sources/"),
    ],
)
def test_rows_of_another_version_are_named(folder, changes, words):
    rows = [file for file in folder.recipes if file.startswith("results/transfer/")][:2]
    for file in rows:
        folder.make(file, **changes)
    named = folder.named()
    assert set(named) == set(rows)
    assert all(found.startswith(words) for found in named.values())


def test_a_table_that_was_forged_with_its_hash_is_seen_by_its_figure(folder):
    save_table(TABLE, pd.DataFrame({"mean": [0.99]}), statement(TABLE)[1])
    assert folder.named() == {"figures/fig2.png": f"made of another {TABLE} than now on disk"}


def test_figures_of_another_experiment_are_compared_with_their_own_record(folder):
    """They lie in the same places; the recipes of this experiment are not theirs."""
    write("figures/fig2.png", made_of({"experiment": "published"}, "", {}))
    folder.record("fig2", experiment="published")
    assert folder.named() == {}
    edit("figures/fig2.png")
    assert folder.named() == {"figures/fig2.png": "changed, it has not the hash in figures/fig2.json"}


def test_a_record_whose_rows_are_others_now_is_named(folder):
    """Rows that were made again in the same way hold other times, and lie behind figures that were drawn before."""
    write("results/transfer/other/seeds0-1.parquet", made_of({}, "", {}))
    behind = ["results/transfer/other/seeds0-1.parquet", TABLE]
    files = ["figures/fig2.pdf", "figures/fig2.png"]
    figure_records.write("figures/fig2.json", "fig2", "demo", files, made_of({}, "", {}), behind)
    assert folder.named() == {}
    write(behind[0], made_of({}, "", {}), value=0.25)
    assert folder.named() == {"figures/fig2.json": f"its files were made of another {behind[0]} than now on disk"}
    Path(behind[0]).unlink()  # what is gone is not held against it
    assert folder.named() == {}


def test_what_is_missing_or_without_record_is_named(folder):
    Path("figures/fig2.pdf").unlink()
    Path("figures/fig3.json").unlink()
    Path(f"{TABLE}.sha256").unlink()
    Path("results/targets/digits.safetensors").unlink()  # may be made when it is needed
    named = folder.named()
    assert named.pop("figures/fig2.pdf") == "missing, figures/fig2.json is its record"
    assert named.pop(TABLE).endswith(f"the file with its hash, {TABLE}.sha256, is missing")
    assert named == dict.fromkeys(["figures/fig3.pdf", "figures/fig3.png"], "has no record beside it")


def test_an_empty_folder_fits(tmp_path, monkeypatch, folder):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert folder.verify() == Verdict([], 0, 0, 0, 0)


def test_what_is_not_ours_is_passed_over(folder):
    for file in ("results/logs/x.csv", "results/downloads/x.parquet", "results/benchmarks/x.csv", "results/x.csv"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("a file of somebody else")
    Path("results/tables/demo/.fig2.csv.abc.part").write_text("")
    Path("figures/mine.json").write_text("{}")
    Path("figures/mine.pdf").write_text("")
    assert folder.named() == {}


def test_many_files_with_one_finding_are_counted():
    found = [Finding(f"results/transfer/{n}.parquet", MADE, AGAIN) for n in range(MOST_NAMED + 5)]
    told = list(lines(Verdict([*found, Finding("a {b}.csv", "changed", "Remove it.")], 0, 15, 0, 0)))
    assert len(told) == MOST_NAMED + 2
    assert told[0] == f"results/transfer/0.parquet: {MADE}. Make it again: snakemake -f results/transfer/0.parquet"
    assert told[MOST_NAMED] == f"... and 5 more: {MADE}."
    assert told[-1] == "a {b}.csv: changed. Remove it."


MADE = "made by other code than that in scripts/ now"
