"""Every artefact has a recipe, and what differs is told without Snakemake."""

import shutil
import time

import pytest

from advtransfer.artefacts import differing, made_of, save_table, statement
from advtransfer.config import recipes, stale
from advtransfer.config.catalogue import CATALOGUE, DRAWN
from advtransfer.config.grid import transfer_settings
from advtransfer.config.inspection import resolve_inspection
from experiments import PROJECT, counts_of, read_config, resolved, rows_of


@pytest.fixture(params=["demo", "paper", "published"])
def chosen(request):
    config = read_config()
    experiment, counts = resolved(config, request.param), counts_of(config)
    return config, experiment, resolve_inspection(config, experiment, counts), counts


def test_every_artefact_of_an_experiment_has_one_recipe(chosen, tmp_path, monkeypatch):
    """With all tables there, as recipes of those that are missing are left out."""
    config, experiment, inspection, counts = chosen
    monkeypatch.chdir(tmp_path)
    for name, entry in CATALOGUE.items():
        file = tmp_path / f"results/tables/{experiment['name']}/{name}.{entry.table}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    files = [file for file, _ in recipes.all_recipes(config, experiment, inspection, counts)]
    assert len(files) == len(set(files))
    folders = {file.split("/")[1] for file in files if file.startswith("results/")}
    drawn = [file for file in files if file.startswith("figures/")]
    if experiment["rows"] is None:
        everything = {"sources", "targets", "subsets", "transfer", "models", "features", "influence", "influence_all"}
        everything |= {"influence_cut", "robustness", "robustness_bound", "tables", "transferability", "references"}
        assert folders == everything | (
            {"nonrobustness", "nonrobustness_features", "nonrobustness_networks"}
            if experiment["name"] == "demo"
            else set()
        )
        shown = {f"figures/{name}.png" for name in DRAWN}
        here = {
            "source_robustness",
            "resolution",
            "nonrobustness",
            "nonrobustness_features",
            "fig2_robust",
        }  # for the demo alone
        # Nothing is beside it: the claims were not tested on the paper's logs.
        # The demo has none of the paper's targets.
        absent = {"claims_compared"} | ({"reproduction"} if experiment["name"] == "demo" else here)
        assert set(drawn) == shown - {f"figures/{name}.png" for name in absent}
    else:
        # What the controlled setting of transferability is made of, which any experiment can have.
        controlled = {"sources", "targets", "subsets", "models", "references", "robustness"}
        assert folders == {"published", "tables", "transferability"} | controlled
        assert "figures/fig2.png" in drawn


def test_the_whole_grid_is_compared_in_seconds(tmp_path, monkeypatch, capsys):
    """The paper's 2,592 files of rows, at every start of Snakemake; only their footers are read."""
    monkeypatch.chdir(tmp_path)
    config = read_config()
    experiment, counts = resolved(config, "paper"), counts_of(config)
    recipe, rows = recipes.row_recipe(config, experiment), rows_of({**experiment, "blocks": [3]}).head(7)
    grid = transfer_settings(experiment, recipe)
    assert len(grid) == 2592
    for number, (file, (settings, _)) in enumerate(grid.items()):
        code = recipe["code"] if number else "another code"
        save_table(file, rows, made_of(settings, code, {"source": "0", "target": "0"}))
    start = time.process_time()
    found = stale.find(config, experiment, resolve_inspection(config, experiment, counts), counts)
    seconds = time.process_time() - start
    with capsys.disabled():
        print(f"\n2,592 files compared in {seconds:.2f} s")
    assert found == {next(iter(grid)): "code"}
    assert stale.describe(found).startswith(f"{next(iter(grid))} made with other code than now")
    assert seconds < 20


def test_rows_state_what_planning_expects(tmp_path):
    """A change of any part of a job's settings is seen."""
    config = read_config()
    experiment = resolved(config)
    recipe = recipes.row_recipe(config, experiment)
    file, (settings, _) = next(iter(transfer_settings(experiment, recipe).items()))
    assert f"blocks{settings['blocks']}_n{'+'.join(sorted(settings['settings'], key=int))}/" in file
    save_table(tmp_path / "rows.parquet", rows_of(experiment).head(3), made_of(settings, recipe["code"], {}))
    stated = statement(tmp_path / "rows.parquet")[1]
    assert differing(stated, made_of(settings, recipe["code"], {})) is None
    for key in settings:
        assert differing(stated, made_of({**settings, key: "other"}, recipe["code"], {})) == "settings"


def test_claims_are_made_again_for_their_inputs(tmp_path, monkeypatch):
    """For another file of claims and other rows; not for what other figures show."""
    monkeypatch.chdir(tmp_path)
    config = read_config()
    experiment, counts = resolved(config, "published"), counts_of(config)
    for name in ("claims.yaml", "published/table5.csv"):
        (tmp_path / "resources" / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(PROJECT / "resources" / name, tmp_path / "resources" / name)
    rows = rows_of({**experiment, "blocks": [3]}).head(7)
    save_table(experiment["rows"], rows, made_of({}, "", {}))
    table = "results/tables/published/claims.csv"
    save_table(table, rows, made_of({}, "", {}))

    def recipe(**changes):
        config["style"] = changes
        recipes.hash_on_disk.cache_clear()
        (found,) = [recipe for file, recipe in recipes.all_recipes(config, experiment, None, counts) if file == table]
        return stale.expected(found)

    first = recipe()
    assert set(first["inputs"]) == {"claims", "printed", "rows"}
    assert differing(first, recipe(fig2={"lines.linewidth": 3})) is None
    with open("resources/claims.yaml", "a") as file:
        file.write("# changed\n")
    second = recipe()
    assert [name for name in first["inputs"] if first["inputs"][name] != second["inputs"][name]] == ["claims"]
    save_table(experiment["rows"], rows.head(3), made_of({}, "", {}))
    third = recipe()
    assert [name for name in first["inputs"] if third["inputs"][name] != second["inputs"][name]] == ["rows"]
