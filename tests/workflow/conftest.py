"""A copy of the project in which a small experiment has been run from beginning to end."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PARTS = ["Snakefile", "config.yaml", "envs", "profiles", "resources", "rules", "scripts"]

# Everything of the demo, smaller: two sources, one target, two sizes, two blocks, two seeds, two epochs.
TINY = """\
experiment: tiny
protocols:
  tiny:
    learning_rate: 0.1
    momentum: 0.9
    weight_decay: 5.e-4
    batch_size: 128
    epochs: [{epochs: 2, evaluate_every: 1}]
    batch_norm: frozen
    head_init: standard_normal
    augmentation: none
experiments:
  tiny:
    protocol: tiny
    sources: {natural: mini_natural, robust: mini_l2}
    targets: [digits]
    images: [20, 40]
    seeds: 2
    blocks: [1, 3]
"""


@dataclass
class Checkout:
    """A folder that holds a copy of the project."""

    folder: Path

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake in the folder; standard output and error come back as one text in `stdout`."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"}
        command = [sys.executable, "-m", "snakemake", "--nocolor", *arguments]
        result = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert not check or result.returncode == 0, result.stdout
        return result

    def planned(self, *arguments: str) -> dict[str, list[str]]:
        """The jobs of a dry run: {rule: [first output of each job]}, without the final `all`."""
        text = self.snakemake("-n", *arguments, "--quiet", "host").stdout
        jobs: dict[str, list[str]] = {}
        for rule, output in re.findall(
            r"^(?:local)?rule (\w+):\n(?:    (?!output).*\n)*    output: ([^,\n]+)", text, re.M
        ):
            jobs.setdefault(rule, []).append(output)
        jobs.pop("all", None)
        assert jobs or "Nothing to be done" in text, text
        return {rule: sorted(outputs) for rule, outputs in jobs.items()}

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that occurs in a file of the copy."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} no longer holds {old!r}"
        path.write_text(text.replace(old, new, 1))


def copy_project(folder: Path) -> Checkout:
    """A fresh copy of what the workflow needs."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """The tiny experiment, run once; tests copy it before they change anything."""
    checkout = copy_project(tmp_path_factory.mktemp("finished"))
    (checkout.folder / "tiny.yaml").write_text(TINY)
    checkout.snakemake("figures/fig2.pdf", "figures/fig4.pdf", "figures/table5.csv", "--configfile", "tiny.yaml")
    return checkout


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A copy of the finished experiment with all its dates, to be changed at will."""
    shutil.copytree(finished.folder, tmp_path / "checkout", copy_function=shutil.copy2)
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def fresh(tmp_path) -> Checkout:
    """A copy of the project in which nothing has been run."""
    return copy_project(tmp_path / "fresh")
