"""How far an experiment has come, from its files alone."""

import os
from pathlib import Path

import pytest

from advtransfer.config.grid import transfer_jobs
from advtransfer.progress import SHOWN, progress
from experiments import selections

EXPERIMENT = {
    "name": "trial",
    "protocol": "short",
    "sources": {"natural": "plain", "robust": "l2"},
    "targets": ["leaves"],
    "sizes": {"leaves": [[20, 3], [40, 2]]},
    "blocks": [0, 3],
    "fig3": {"images": 20, "epochs": [1]},
    "epsilon": {"sources": [], "images": []},
    "figures": selections(["leaves"]),
    "rows": None,
    "cell_seeds": [],
    "resolution": None,
    "seeds_per_job": [[40, 2, False]],
}
NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, text="", ago=0.0):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - ago, NOW - ago))


def test_jobs_of_all_figures_are_there_once():
    jobs = transfer_jobs(EXPERIMENT)
    assert len(jobs) == 2 * 2 * 3
    job = jobs["results/transfer/short/l2/leaves/blocks3_n20/seeds2-2.parquet"]
    assert (job.source, job.blocks, job.images, job.models) == ("l2", 3, (20,), 1)
    assert transfer_jobs({**EXPERIMENT, "rows": "rows.parquet"}) == {}


def test_what_is_done_and_what_the_others_said():
    jobs = "short/l2/leaves"
    write(f"results/transfer/{jobs}/blocks0_n20/seeds0-1.parquet")
    write(f"results/logs/transfer/{jobs}/blocks0_n20/seeds0-1.log", "seed 1 epoch 9/9\n")
    write(
        f"results/logs/transfer/{jobs}/blocks3_n20/seeds0-1.log",
        "seed 1 epoch 1/9\nseed 1 epoch 5/9; 28% done\n",
        150,
    )
    write(f"results/logs/transfer/{jobs}/blocks3_n20/seeds2-2.log", "", 4)
    write(f"results/logs/transfer/{jobs}/blocks3_n40/seeds0-1.log", "seed 1 diverged in epoch 3\n", 7300)
    assert progress(EXPERIMENT, NOW) == [
        "Experiment trial, protocol short: 2 of 20 models (10%), 1 of 12 jobs are done.",
        "Begun and not finished: 3. What each said last:",
        "  l2/leaves/blocks3_n20/seeds2-2, 4 s ago: nothing yet",
        "  l2/leaves/blocks3_n20/seeds0-1, 2 min ago: seed 1 epoch 5/9; 28% done",
        "  l2/leaves/blocks3_n40/seeds0-1, 2 h ago: seed 1 diverged in epoch 3",
    ]


def test_only_so_many_are_shown():
    experiment = {**EXPERIMENT, "seeds_per_job": [[40, 1, False]], "sizes": {"leaves": [[20, 20]]}}
    for file in transfer_jobs(experiment):
        write(file.replace("results/", "results/logs/").replace(".parquet", ".log"), "a line")
    lines = progress(experiment, NOW)
    assert len(lines) == SHOWN + 3
    assert lines[-1] == f"  and {2 * 2 * 20 - SHOWN} more"


def test_nothing_has_begun_and_nothing_is_to_be_done():
    assert len(progress(EXPERIMENT, NOW)) == 1
    assert "nothing to train" in progress({**EXPERIMENT, "rows": "rows.parquet"}, NOW)[0]
