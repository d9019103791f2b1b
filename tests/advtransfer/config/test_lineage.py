"""What lies behind a figure: told once more by hand for figure 2, and complete for all."""

import pytest

from advtransfer.config.catalogue import CATALOGUE
from advtransfer.config.grid import row_files
from advtransfer.config.inspection import resolve_inspection
from advtransfer.config.lineage import Lineage
from advtransfer.config.recipes import all_recipes
from advtransfer.config.start import LONGEST_SETTINGS
from advtransfer.packing import unpack
from experiments import counts_of, read_config, resolved


@pytest.fixture(params=["demo", "paper", "published"])
def lineage(request):
    config = read_config()
    experiment, counts = resolved(config, request.param), counts_of(config)
    return Lineage(config, experiment, resolve_inspection(config, experiment, counts), counts)


def tables_of(lineage):
    name = lineage.experiment["name"]
    files = {figure: f"results/tables/{name}/{figure}.{entry.table}" for figure, entry in CATALOGUE.items()}
    return {figure: file for figure, file in files.items() if file in lineage.inputs}


def test_behind_figure_2_lie_its_rows_and_what_they_are_made_of(lineage):
    config, experiment = lineage.config, lineage.experiment
    table = f"results/tables/{experiment['name']}/fig2.csv"
    expected = {table, *row_files(experiment, "fig2")}
    if experiment["rows"] is None:
        sources = [experiment["sources"][role] for role in ("natural", "robust")]
        entries = [config["sources"][source] for source in sources]
        expected |= {f"results/sources/{source}.safetensors" for source in sources}
        expected |= {entry["path"] for entry in entries if entry["kind"] == "file"}
        for target in experiment["targets"]:
            expected.add(f"results/targets/{target}.safetensors")
            sizes = [images for images, _ in experiment["sizes"][target]]
            expected |= {f"results/subsets/{target}/n{images}.parquet" for images in sizes}
    else:
        expected.add("results/downloads/" + config["published"]["april"]["url"].rpartition("/")[2])
    assert lineage.behind([table]) == sorted(expected)


def test_every_recipe_names_the_files_that_it_reads(lineage):
    """What is no file is a listing of an image folder only; an input that nothing makes comes with the project or is downloaded."""
    for file, recipe in all_recipes(
        lineage.config, lineage.experiment, lineage.inspection, lineage.counts, tables=True
    ):
        assert recipe.others is dict or file.startswith("results/targets/"), (
            f"{file}: name its inputs in 'files' or 'rows'"
        )
    roots = {file for files in lineage.inputs.values() for file in files} - set(lineage.inputs)
    allowed = ("resources/", "results/downloads/", "results/tables/published/")
    assert all(root.startswith(allowed) for root in roots), roots


def test_a_command_has_room_for_what_lies_behind_any_figure(lineage):
    for file in tables_of(lineage).values():
        packed = lineage.packed(file)
        assert len(packed) < LONGEST_SETTINGS / 5
        assert unpack(packed) == lineage.behind([file])


def test_a_circle_ends(lineage):
    lineage.inputs.update({"a": ["b"], "b": ["a", "c"]})
    assert lineage.behind(["a"]) == ["a", "b", "c"]
