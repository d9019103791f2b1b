"""What a run cannot do is said in one line at its start, or by the job that meets it; nothing is computed in vain."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import PROJECT

BLOCKS = """\
experiment: head
experiments:
  head: {protocol: demo, sources: {natural: mini_natural, robust: mini_l2}, targets: [digits], images: [50], seeds: 1, blocks: [0]}
"""


def test_a_figure_of_other_blocks_is_answered_before_anything_is_computed(fresh):
    (fresh.folder / "head.yaml").write_text(BLOCKS)
    result = fresh.snakemake("figures/fig2.pdf", "--configfile", "head.yaml", check=False)
    assert result.returncode != 0
    words = "experiment 'head' has no model of fig2, which shows 3 blocks trained; the experiment has 0 blocks. Add one of these to 'blocks', or choose others under 'figures'."
    assert f"results/tables/head/fig2: {words}" in result.stdout
    assert "Fine-tune first" not in result.stdout
    assert not (fresh.folder / "results/targets").exists()
    # What the experiment has is made by default, and the list says what it lacks.
    planned = fresh.planned("--configfile", "head.yaml")
    assert "figures/fig2.pdf" not in planned["figure"]
    assert {"figures/fig4.pdf", "figures/fig6.pdf"} <= set(planned["figure"])
    listed = fresh.snakemake("list", "--configfile", "head.yaml").stdout
    assert "[not here: the experiment has no model of fig2, which shows 3 blocks trained" in listed


def test_two_keys_in_one_file_are_refused(fresh):
    (fresh.folder / "twice.yaml").write_text(
        "protocols:\n  demo: {momentum: 0.5}\nseeds_per_job: [{seeds: 1}]\nprotocols: {}\n"
    )
    result = fresh.snakemake("-n", "--configfile", "twice.yaml", check=False)
    assert result.returncode != 0
    assert "config: twice.yaml, line 4: key 'protocols' is given twice, first in line 1. Remove one." in result.stdout
    assert "Traceback" not in result.stdout


def test_results_that_cannot_be_written_are_noticed_before_a_run_and_not_by_a_dry_run(fresh):
    (fresh.folder / "figures").write_text("in the folder's place")
    result = fresh.snakemake("figures/table1.csv", check=False)
    assert result.returncode != 0
    assert "figures/: no file can be written there (Not a directory)." in result.stdout
    assert "Traceback" not in result.stdout
    assert not (fresh.folder / "results").exists()
    fresh.snakemake("-n", "figures/table1.csv")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo working >&2; echo the last word >&2; exit 3", "the last word\n"),
        ("exit 3", "a log: the job stopped without a word. Is the disk full? Try: df -h .\n"),
        (
            "echo epoch 3 >&2; kill -9 $BASHPID",
            "epoch 3\na log: killed by signal 9; 9 is often too little memory, 7 a full disk.\n",
        ),
    ],
)
def test_what_a_failed_job_says(tmp_path, command, said):
    """The end of every command, rules/common.smk: LOGGED."""
    text = (PROJECT / "rules/common.smk").read_text(encoding="utf-8")
    names: dict = {}
    exec(re.search(r"^LOGGED = \(.*?^\)", text, re.M | re.S)[0], names)
    ending = names["LOGGED"].replace("{log:q}", "'a log'").replace("{{", "{").replace("}}", "}")
    run = f"set -euo pipefail; ( {command} ){ending}"
    done = subprocess.run(["bash", "-c", run], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    # Of a killed job the shell has words too.
    assert done.stderr.endswith(said)


def test_all_readable_images_of_a_folder_that_holds_others(fresh):
    """`unreadable: skip` with `images: [all]`: what is skipped does not count, and every start need not read it all."""
    rng = np.random.default_rng(0)
    for name in ("oak", "ash"):
        (fresh.folder / "leaves" / name).mkdir(parents=True)
        for index in range(10):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(
                fresh.folder / f"leaves/{name}/{index}.png"
            )
        (fresh.folder / "leaves" / name / "notes.txt").write_text("no image")
    (fresh.folder / "leaves.yaml").write_text(
        "experiment: leaves\n"
        "targets: {leaves: {kind: image_folder, path: leaves, test_share: 0.3, unreadable: skip}}\n"
        "experiments:\n"
        "  leaves: {protocol: demo, sources: {natural: mini_natural}, targets: [leaves], images: [all], seeds: 1, blocks: [0]}\n"
    )
    (subset,) = fresh.planned("figures/fig10.pdf", "--configfile", "leaves.yaml")["subset"]
    fresh.snakemake(subset, "--configfile", "leaves.yaml")
    (kept,) = (fresh.folder / ".snakemake/unreadable").iterdir()
    assert kept.suffix == ".json"
    assert fresh.planned(subset, "--configfile", "leaves.yaml") == {}


def test_a_killed_snakemake_leaves_a_lock_and_unlocking_goes_on(fresh):
    """As an administrator, a full memory or a power failure ends it: nothing that was finished is made again."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    outputs = ["results/subsets/digits/n20.parquet", "results/sources/mini_natural.safetensors"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *outputs]
    running = subprocess.Popen(
        command,
        cwd=fresh.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    artefacts = [fresh.folder / output for output in outputs]
    while not any(file.exists() for file in artefacts) and running.poll() is None:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    result = fresh.snakemake(*outputs, check=False)
    assert result.returncode != 0
    assert "--unlock" in result.stdout
    fresh.snakemake("--unlock")
    fresh.snakemake(*outputs)
    assert all(file.exists() for file in artefacts)
    assert fresh.planned(*outputs) == {}
