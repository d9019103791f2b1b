"""Each figure and table is registered once, and what the catalogue says of it is so."""

import importlib
from pkgutil import resolve_name

import pytest

from advtransfer.config.catalogue import CATALOGUE, CATEGORIES, DRAWN, FROM_ROWS, ROLES, entries
from advtransfer.config.check import check
from advtransfer.errors import InputError
from experiments import PROJECT, an_experiment, read_config, rows_of


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_is_complete(name):
    entry = CATALOGUE[name]
    assert entry.name == name
    assert entry.category in CATEGORIES
    assert entry.caption == entry.caption.strip(" .")
    assert len(entry.caption) <= 90, "a caption is one line of 'snakemake list'"
    if entry.tabulate:
        assert callable(resolve_name(f"advtransfer.tables.{entry.tabulate}"))
    if name in DRAWN:
        assert callable(importlib.import_module(f"figures.{name}").draw)
    if entry.table == "csv":
        assert entry.columns
    assert (entry.selection is not None) == (entry.drawn_from == "rows")


def test_every_drawing_module_is_registered():
    shared = {"__init__", "axes", "footer", "layout", "networks", "sources", "style"}
    files = {file.stem for file in (PROJECT / "scripts/figures").glob("*.py")}
    assert files - shared == set(DRAWN)


def test_every_file_is_made_once():
    files = [file for entry in CATALOGUE.values() for file in entry.outputs]
    assert len(files) == len(set(files))
    assert {"figures/fig2.pdf", "figures/fig8.csv", "figures/table5.csv", "figures/epsilon.pdf"} <= set(files)


def test_entries_by_what_they_are_drawn_from():
    assert entries("rows") == list(FROM_ROWS)
    assert entries("influence", table="safetensors") == ["fig6", "fig7"]
    assert set(entries()) == set(CATALOGUE)


@pytest.mark.parametrize("name", FROM_ROWS)
def test_tables_over_models_have_the_columns_that_they_say(name):
    experiment = an_experiment(
        # Those of table `reproduction` have to be the paper's.
        targets=("svhn", "mnist") if name == "reproduction" else ("leaves", "stones"),
        epsilon={"sources": [{"source": "plain"}, {"source": "l2"}], "images": [100, 200]},
        resolution={"targets": {"leaves": [[32, "leaves"]], "stones": [[16, "stones"]]}, "images": [100, 200]},
    )
    table = resolve_name(f"advtransfer.tables.{CATALOGUE[name].tabulate}")(rows_of(experiment), experiment, name)
    assert len(table)
    assert list(table) == list(CATALOGUE[name].columns)


def test_the_schema_knows_figures_data_sets_and_roles_by_the_catalogues():
    config = read_config()
    config["style"] = {name: {} for name in ("all", *DRAWN)}
    config["experiments"]["demo"]["sources"] = dict(
        zip(ROLES, ("mini_natural", "mini_l2", "mini_linf_small", "mini_linf_large"), strict=True)
    )
    check(config, PROJECT / "rules/config.schema.yaml")
    config["targets"]["mnist"]["dataset"] = "MNISTT"
    with pytest.raises(InputError, match=r"targets\.mnist\.dataset: found 'MNISTT'\. Did you mean 'MNIST'\?"):
        check(config, PROJECT / "rules/config.schema.yaml")
