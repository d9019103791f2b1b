"""What does not belong to the configuration any more is noticed without Snakemake's records, which lie in .snakemake."""

import os
import shutil
import subprocess
import sys

import pytest
from pyarrow import parquet

FIGURES = ["figures/fig2.pdf", "figures/fig4.pdf", "figures/table5.csv"]
TINY = ["--configfile", "tiny.yaml"]
# The fine-tuned models behind them: 3 blocks of both sources, 1 block of the robust one.
ROWS = sorted(
    f"results/transfer/tiny/{source}/digits/blocks{blocks}_n20+40/seeds0-1.parquet"
    for source, blocks in (("mini_l2", 1), ("mini_l2", 3), ("mini_natural", 3))
)
SOURCE = "resources/sources/natural.safetensors"


@pytest.fixture
def forgotten(checkout):
    """The finished experiment, without Snakemake's records."""
    shutil.rmtree(checkout.folder / ".snakemake")
    return checkout


def remake_line(checkout, *arguments):
    """The line that says what is stale, of a dry run."""
    lines = checkout.snakemake("-n", *FIGURES, *TINY, *arguments).stdout.splitlines()
    return [line for line in lines if "made with other" in line]


def test_nothing_is_made_again_where_nothing_changed(forgotten):
    """Command lines and planning agree on what makes each artefact."""
    assert forgotten.planned(*FIGURES, *TINY) == {}
    assert remake_line(forgotten) == []


def test_a_learning_rate_is_noticed(forgotten):
    forgotten.edit("tiny.yaml", "learning_rate: 0.1", "learning_rate: 0.2")
    planned = forgotten.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == ROWS
    assert set(planned) == {"table", "figure", "table5"}
    [line] = remake_line(forgotten)
    assert line.endswith("and 2 more, made with other settings than now: to be made again where needed.")
    # Only what is asked for is made again.
    assert forgotten.planned("results/subsets/digits/n20.parquet", *TINY) == {}


def test_code_is_noticed(forgotten):
    with (forgotten.folder / "scripts/advtransfer/transfer.py").open("a") as file:
        file.write("\n\nCHANGED = True\n")
    assert forgotten.planned(*FIGURES, *TINY)["transfer"] == ROWS


def test_fewer_seeds_and_another_style_are_noticed(forgotten):
    forgotten.edit("tiny.yaml", "experiment: tiny\n", "experiment: tiny\nstyle: {fig2: {lines.linewidth: 3}}\n")
    assert forgotten.planned(*FIGURES, *TINY) == {"figure": ["figures/fig2.pdf"]}
    forgotten.edit("tiny.yaml", "blocks: [1, 3]", "blocks: [3]")
    assert set(forgotten.planned(*FIGURES, *TINY)) == {"table", "figure", "table5"}


def test_copied_rows_are_noticed(checkout):
    """Rows of a run with another learning rate are copied over those that Snakemake has records of, with an old date."""
    ours, theirs = (checkout.folder / file for file in ROWS[:2])
    age = theirs.stat()
    theirs.write_bytes(ours.read_bytes())
    os.utime(theirs, ns=(age.st_atime_ns, age.st_mtime_ns))
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned["transfer"] == [ROWS[1]]


def test_whoever_tells_snakemake_to_look_at_dates_only_is_heard(forgotten):
    """Nothing of the grid runs then; but no table is made of rows that do not belong."""
    forgotten.edit("tiny.yaml", "learning_rate: 0.1", "learning_rate: 0.2")
    dates_only = ["--rerun-triggers", "mtime"]
    assert forgotten.planned(*FIGURES, *TINY, *dates_only) == {}
    assert remake_line(forgotten, *dates_only)
    (forgotten.folder / "results/tables/tiny/fig2.csv").unlink()
    result = forgotten.snakemake("results/tables/tiny/fig2.csv", *TINY, *dates_only, check=False)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if "these rows were made with other settings" in line]
    assert "and those of 1 more file(s). Make them again: add --forcerun transfer" in said[0]
    assert "Traceback" not in result.stdout


def test_a_checkpoint_is_compared_by_content_whatever_its_date(checkout):
    """docs/extending.md promises it: the user's file is replaced by an older one."""
    (checkout.folder / "mine").mkdir()
    mine = checkout.folder / "mine/natural.safetensors"
    shutil.copy2(checkout.folder / SOURCE, mine)
    text = (checkout.folder / "tiny.yaml").read_text()
    entry = "sources: {mine: {kind: file, path: mine/natural.safetensors, threat: null}}\n"
    (checkout.folder / "tiny.yaml").write_text(entry + text.replace("natural: mini_natural", "natural: mine"))
    checkout.snakemake("results/sources/mine.safetensors", *TINY)
    assert checkout.planned("results/sources/mine.safetensors", *TINY) == {}
    content = mine.read_bytes()
    mine.write_bytes(content[:-2] + b"\0\0")
    os.utime(mine, (1, 1))
    expected = {"import_source": ["results/sources/mine.safetensors"]}
    assert checkout.planned("results/sources/mine.safetensors", *TINY) == expected
    shutil.rmtree(checkout.folder / ".snakemake")
    assert checkout.planned("results/sources/mine.safetensors", *TINY) == expected
    mine.write_bytes(content)
    os.utime(mine, (1, 1))
    assert checkout.planned("results/sources/mine.safetensors", *TINY) == {}


def test_a_remade_artefact_is_the_same_file_and_runs_nothing_again(checkout):
    """safetensors' random order of metadata would give a source other bytes each time."""
    files = ["results/sources/mini_natural.safetensors", "results/targets/digits.safetensors"]
    files.append("results/subsets/digits/n20.parquet")
    before = [(checkout.folder / file).read_bytes() for file in files]
    for file in files:
        (checkout.folder / file).unlink()
    checkout.snakemake(*files, *TINY)
    assert [(checkout.folder / file).read_bytes() for file in files] == before
    assert checkout.planned(*FIGURES, *TINY) == {}


def flip(path, bit=8 * 200_000):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def place_of_values(path):
    """A byte of a file that holds values: other bytes of a parquet file (its statistics) can change, and no value with them."""
    if path.suffix != ".parquet":
        return min(200_000, path.stat().st_size // 4)
    rows = parquet.read_metadata(path).row_group(0)
    column = rows.column(rows.num_columns - 1)
    return column.dictionary_page_offset + column.total_compressed_size - 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (SOURCE, "config.yaml: 'hash'"),
        ("results/sources/mini_natural.safetensors", "damaged, tensor"),
        ("results/targets/digits.safetensors", "damaged, tensor"),
        ("results/subsets/digits/n20.parquet", "Remove it and make it again"),
        (ROWS[0], "Remove it and make it again"),
        ("results/tables/tiny/fig2.csv", "damaged, it has not the hash in"),
    ],
)
def test_a_damaged_file_stops_what_reads_it(checkout, file, message):
    """One flipped bit: no table and no figure is made of it, and the last line says which file it is."""
    path = checkout.folder / file
    flip(path, 8 * place_of_values(path))
    result = checkout.snakemake(*FIGURES, *TINY, check=False)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if line.startswith(f"{file}: ")]
    assert said, result.stdout
    assert "Traceback" not in result.stdout


def run_script(script, *arguments, folder):
    command = [sys.executable, folder / "scripts" / script, *arguments]
    return subprocess.run(list(map(str, command)), cwd=folder, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_command_lines_name_a_file_that_is_cut(checkout, share):
    """Those that read rows, tables and logs."""
    rows = checkout.folder / "cut.parquet"
    intact = (checkout.folder / ROWS[0]).read_bytes()
    rows.write_bytes(intact[: int(share * len(intact))])
    log = checkout.folder / "cut.csv.gz"
    log.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0" + bytes(range(200))[: int(share * 200)])
    table = checkout.folder / "results/tables/tiny/fig2.csv"
    table.write_bytes(table.read_bytes()[: int(share * table.stat().st_size)])
    code = ["--code", "0" * 16]
    drawing = ["--caption", "x", "--pdf", "x.pdf", "--png", "x.png"]
    experiment = ["--experiment", '{"rows": "cut.parquet"}']
    for script, arguments, file in [
        ("source_robustness.py", ["--files", "cut.parquet", *code, "--output", "x.csv"], "cut.parquet"),
        ("published_rows.py", ["--log", "cut.csv.gz", "--models", "1", *code, "--output", "x.parquet"], "cut.csv.gz"),
        (
            "figure.py",
            ["--figure", "fig2", "--table", "results/tables/tiny/fig2.csv", *experiment, *drawing, *code],
            "results/tables/tiny/fig2.csv",
        ),
        (
            "table.py",
            ["--figure", "fig2", "--tabulate", "accuracy.compare", *experiment, "--recipe", "null", *code]
            + ["--output", "x.csv"],
            "cut.parquet",
        ),
    ]:
        done = run_script(script, *arguments, folder=checkout.folder)
        assert done.returncode == 1, script
        assert done.stderr.splitlines()[-1].startswith(f"{file}: "), done.stderr
        assert "Traceback" not in done.stderr
    assert not list(checkout.folder.glob("x.*"))
