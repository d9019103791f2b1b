"""Time short transfer jobs with a job for each size of a cell, and with the sizes of a cell in one job (`seeds_per_job`).

    uv run python benchmarks/jobs.py                            # the paper's grid up to 400 images; an hour on 2 cores
    uv run python benchmarks/jobs.py --targets 1 --seeds 10     # a twelfth of it
    uv run python benchmarks/jobs.py --demo                     # figure 2 of the demo
    uv run --group slurm python benchmarks/jobs.py --slurm      # through profiles/slurm, where there is a Slurm

The grid is the paper's (sources, targets, block counts, 100 to 400 images, 20 seeds, 5 to a job), but its sources are the miniature
ones, its targets digits and glyphs under six names, and a model is trained for one epoch: what is left is what a job costs. Each run
begins with nothing, in a fresh copy of the project under the working folder (on a cluster, one that all nodes see); both have to give the
same rows. Prints jobs and seconds of each, and their ratio.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

PROJECT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "config.yaml", "envs", "profiles", "resources", "rules", "scripts")
# Of the paper's grid.
TARGETS, SEEDS = 6, 20


def grid(targets: int, seeds: int) -> dict:
    """The configuration of the grid's short jobs, for some of its targets and seeds."""
    names = {f"target{i}": {"kind": ("digits", "glyphs")[i % 2]} for i in range(targets)}
    roles = {"natural": "mini_natural", "robust": "mini_l2", "linf_small": "mini_linf_small"}
    experiment = {
        "protocol": "short",
        "sources": {**roles, "linf_large": "mini_linf_large"},
        "targets": list(names),
        "images": [100, 200, 400],
        "seeds": seeds,
        "blocks": [0, 1, 3, 9],
    }
    demo = yaml.safe_load((PROJECT / "config.yaml").read_text())["protocols"]["demo"]
    protocol = {**demo, "epochs": [{"epochs": 1, "evaluate_every": 1}]}
    return {
        "experiment": "grid",
        "targets": names,
        "protocols": {"short": protocol},
        "experiments": {"grid": experiment},
    }


def configuration(arguments: argparse.Namespace, together: bool) -> dict:
    """What is merged into config.yaml for a run."""
    own = {} if arguments.demo else grid(arguments.targets, arguments.seeds)
    steps = yaml.safe_load((PROJECT / "config.yaml").read_text())["seeds_per_job"]
    return {**own, "seeds_per_job": [{**step, "together": together and step.get("together", False)} for step in steps]}


def run(folder: Path, arguments: argparse.Namespace, together: bool) -> tuple[int, float, pd.DataFrame]:
    """Copy the project into a folder and run it there: transfer jobs, seconds, and the rows of all models."""
    folder.mkdir()
    subprocess.run(["cp", "-r", *(PROJECT / part for part in PARTS), folder], check=True)
    (folder / "jobs.yaml").write_text(yaml.safe_dump(configuration(arguments, together)))
    wanted = ["figures/fig2.pdf"] if arguments.demo else ["--until", "transfer"]
    profile = ["--profile", "profiles/slurm"] if arguments.slurm else []
    command = [sys.executable, "-m", "snakemake", *wanted, "--configfile", "jobs.yaml", *profile]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (folder / "run.log").open("w") as log:
        began = time.monotonic()
        ended = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        seconds = time.monotonic() - began
    if ended.returncode:
        sys.exit((folder / "run.log").read_text())
    files = sorted((folder / "results" / "transfer").rglob("*.parquet"))
    # How long a model took is no result.
    rows = pd.concat([pd.read_parquet(file) for file in files]).drop(columns="seconds")
    return len(files), seconds, rows.sort_values(list(rows.columns), ignore_index=True)


def main() -> None:
    """Parse, measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true", help="figure 2 of the demo in place of the grid")
    parser.add_argument("--slurm", action="store_true", help="through profiles/slurm")
    parser.add_argument("--targets", type=int, choices=range(1, TARGETS + 1), default=TARGETS, help="of the grid")
    parser.add_argument("--seeds", type=int, choices=range(1, SEEDS + 1), default=SEEDS, help="of the grid")
    parser.add_argument("--turns", type=int, default=1, help="how often both ways are measured")
    arguments = parser.parse_args()
    print("sizes", "jobs", "seconds", sep="\t", flush=True)
    with tempfile.TemporaryDirectory(dir=".", prefix="jobs-") as folder:
        for turn in range(arguments.turns):
            found = {}
            for name in ("apart", "together"):
                found[name] = run(Path(folder).resolve() / f"{name}{turn}", arguments, name == "together")
                print(name, found[name][0], f"{found[name][1]:.0f}", sep="\t", flush=True)
            pd.testing.assert_frame_equal(found["apart"][2], found["together"][2])
            print(f"together / apart: {found['together'][1] / found['apart'][1]:.2f}, the same rows", flush=True)


if __name__ == "__main__":
    main()
