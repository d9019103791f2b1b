"""Records of figures: what they hold, that a changed one is refused, and what they say together."""

import hashlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

from advtransfer import figure_records
from advtransfer.artefacts import content_hash, made_of, save_table
from advtransfer.errors import InputError

BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
ROWS = "results/transfer/demo/natural/digits/blocks3_n100/seeds0-4.parquet"
TABLE = "results/tables/demo/fig2.csv"
MADE_OF = made_of({"figure": "fig2"}, "0123456789abcdef", {"table": "0"})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A figure of two files, its table, rows and a raw file, and what the job of the rows took, of two runs."""
    monkeypatch.chdir(tmp_path)
    save_table(ROWS, pd.DataFrame({"seed": [0, 1], "test_accuracy": [0.5, 0.25]}), made_of({}, "", {}))
    save_table(TABLE, pd.DataFrame({"mean": [0.375]}), made_of({}, "", {}))
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources/claims.yaml").write_text("claims: []\n")
    (tmp_path / "figures").mkdir()
    for ending in ("pdf", "png"):
        (tmp_path / f"figures/fig2.{ending}").write_text(f"a drawing, as {ending}")
    benchmark = tmp_path / "results/benchmarks/transfer/demo/natural/digits/blocks3_n100/seeds0-4.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text(
        BENCHMARK
        + "9.0\t0:00:09\t1.0\t1\t1\t1\t0\t0\t99.0\t8.0\n"
        + "6.99\t0:00:06\t617.63\t3236.44\t301.82\t337.26\t0.00\t1.09\t26.82\t2.06\n"
    )
    write("fig2", [ROWS, TABLE, "resources/claims.yaml", "results/targets/gone.safetensors"])
    return tmp_path


def write(name, behind, experiment="demo"):
    files = ["figures/fig2.pdf", "figures/fig2.png"]
    figure_records.write(f"figures/{name}.json", name, experiment, files, MADE_OF, behind)


def test_a_record_holds_what_made_the_figure(project):
    record = figure_records.read("figures/fig2.json")
    assert record["name"] == "fig2"
    assert record["experiment"] == "demo"
    assert record["provenance"] == MADE_OF
    for file, stated in record["files"].items():
        done = subprocess.run(["sha256sum", file], check=True, capture_output=True, text=True)
        assert done.stdout.split()[0] == stated
    assert set(record["files"]) == {"figures/fig2.pdf", "figures/fig2.png"}
    # What is gone cannot be stated.
    assert record["behind"] == {
        ROWS: content_hash(ROWS),
        TABLE: content_hash(TABLE),
        "resources/claims.yaml": f"sha256:{figure_records.sha256('resources/claims.yaml')}",
    }
    # Of the last run.
    assert record["jobs"] == {ROWS: {"seconds": 6.99, "cpu_seconds": 2.06, "memory_mb": 617.63}}
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["versions"]["pandas"] == pd.__version__
    assert record["hardware"]["cores"] >= 1
    assert record["hardware"]["cpu"]


def keys_of(value, path=()):
    """Each place of a JSON document that holds no list and no object."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [place for key, below in items for place in keys_of(below, (*path, key))]
    return [path]


def test_a_record_that_is_changed_anywhere_is_refused(project):
    path = project / "figures/fig2.json"
    intact = json.loads(path.read_text())
    places = keys_of(intact)
    assert len(places) > 20
    for place in places:
        changed = json.loads(path.read_text())
        below = changed
        for key in place[:-1]:
            below = below[key]
        below[place[-1]] = "other"
        other = project / "figures/other.json"
        other.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"other\.json: changed, it has not the hash that it states"):
            figure_records.read(other)
    # The same content in another layout is the same record.
    path.write_text(json.dumps(intact))
    assert figure_records.read(path)["name"] == "fig2"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "\x00"])
def test_what_is_no_record_is_named(project, text):
    (project / "figures/fig2.json").write_text(text)
    with pytest.raises(
        InputError, match=r"^figures/fig2\.json: not a readable record .*Make the figure or table again"
    ):
        figure_records.read("figures/fig2.json")
    (project / "figures/fig2.json").unlink()
    with pytest.raises(InputError, match=r"^figures/fig2\.json: no such file"):
        figure_records.read("figures/fig2.json")


def test_times_that_were_not_measured_are_left_out(project):
    """Snakemake writes "-" or "NA" of what was over before it could be looked at."""
    file = project / figure_records.benchmark_file(ROWS)
    file.write_text(BENCHMARK + "0.02\t0:00:00\tNA\tNA\tNA\tNA\t-\t-\t0.00\tNA\n")
    assert figure_records.run_times([ROWS]) == {ROWS: {"seconds": 0.02}}
    file.write_text(BENCHMARK)
    assert figure_records.run_times([ROWS]) == {ROWS: {}}


def test_records_of_an_experiment_together_count_a_job_once(project):
    models = "results/models/demo/natural/digits/blocks3_n100_seed0.safetensors"
    slow = project / figure_records.benchmark_file(
        "results/influence/demo/natural/digits/blocks3_n100_seed0.safetensors"
    )
    slow.parent.mkdir(parents=True)
    slow.write_text(BENCHMARK + "2.00\t0:00:02\t700.5\t1\t1\t1\t0\t0\t50.0\t1.00\n")
    write("fig7", [ROWS, models, "results/influence/demo/natural/digits/blocks3_n100_seed0.safetensors"])
    write("fig3", [ROWS], experiment="other")
    (project / "figures/broken.json").write_text("{}")
    found = figure_records.describe_run("demo", project)
    assert found["records"] == 2
    assert found["jobs"] == {
        "influence": {"jobs": 1, "seconds": 2.0, "cpu_seconds": 1.0, "memory_mb": 700.5},
        "transfer": {"jobs": 1, "seconds": 6.99, "cpu_seconds": 2.06, "memory_mb": 617.63},
    }
    assert found["hardware"] == [figure_records.hardware()]
    assert found["versions"] == [figure_records.versions()]
    assert found["made"][0] <= found["made"][1]
    assert json.loads(json.dumps(found)) == found
    nothing = figure_records.describe_run("paper", project)
    assert nothing["records"] == 0
    assert nothing["jobs"] == {}
    assert nothing["made"] == []


def git(folder, *arguments):
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


def test_a_revision_is_clean_where_nothing_differs(tmp_path):
    assert figure_records.revision(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "Snakefile").write_text("rule all:\n")
    # A repository around the project that does not hold it is another project's.
    assert figure_records.revision(tmp_path) is None
    git(tmp_path, "add", "Snakefile")
    git(tmp_path, "commit", "-m", "A first one")
    commit = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert figure_records.revision(tmp_path) == {"commit": commit.stdout.strip(), "clean": True}
    (tmp_path / "mine.yaml").write_text("experiment: demo\n")
    assert figure_records.revision(tmp_path)["clean"] is False
    (tmp_path / "mine.yaml").unlink()
    assert figure_records.revision(tmp_path)["clean"] is True
    (tmp_path / "Snakefile").write_text("rule none:\n")
    assert figure_records.revision(tmp_path)["clean"] is False


def test_without_programs_of_others_nothing_is_claimed(tmp_path, monkeypatch):
    """No git and no driver of a GPU."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert figure_records.revision() is None
    assert figure_records.hardware()["gpus"] == []
    monkeypatch.setattr(metadata, "version", lambda name: (_ for _ in ()).throw(metadata.PackageNotFoundError(name)))
    assert figure_records.versions()["torch"] is None


def test_gpus_are_the_drivers(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3'\necho 'NVIDIA H100 80GB HBM3'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert figure_records.hardware()["gpus"] == ["NVIDIA H100 80GB HBM3"] * 2
    program.write_text("#!/bin/sh\necho 'No devices were found'\nexit 9\n")
    assert figure_records.hardware()["gpus"] == []


def test_a_download_is_known_by_its_bytes(tmp_path, monkeypatch):
    """Though it may end in .csv, as the authors' log does, it is no artefact and has no hash beside it."""
    monkeypatch.chdir(tmp_path)
    log = Path("results/downloads/log.csv")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"seed,accuracy\n1,2\n")
    assert figure_records.hash_behind(str(log)) == f"sha256:{hashlib.sha256(log.read_bytes()).hexdigest()}"
