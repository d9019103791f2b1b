"""One set of versions: conda environments, pyproject.toml, and what is installed here."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
# conda-forge's names of packages that are called otherwise on the Python package index.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "seaborn-base": "seaborn"}


def pins() -> dict[str, str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    requirements = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["dependency-groups"]["slurm"],
        *project["tool"]["uv"]["constraint-dependencies"],
    ]
    pairs = [re.fullmatch(r"([\w.-]+)==([\w.]+)", requirement) for requirement in requirements]
    assert all(pairs), "every requirement is pinned exactly"
    return {normal(name): version for name, version in (pair.groups() for pair in pairs)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("environment", ["torch", "figures", "kronfluence"])
def test_conda_environments_have_the_projects_versions(environment):
    content = yaml.safe_load((PROJECT / "envs" / f"{environment}.yaml").read_text())
    entries = [entry for entry in content["dependencies"] if entry != "pip"]
    by_pip = next((entry["pip"] for entry in entries if isinstance(entry, dict)), [])
    wanted = dict(entry.split("=") for entry in entries if isinstance(entry, str))
    wanted |= dict(entry.split("==") for entry in by_pip)
    assert wanted.pop("python") == "3.12"
    assert wanted
    for name, version in wanted.items():
        assert pins()[normal(CONDA_NAMES.get(name, name))] == version, name


def test_every_installed_package_is_pinned():
    """Direct and transitive ones: a new machine gets the same versions without a lock file."""
    installed = {normal(item.name): item.version for item in distributions() if item.name not in ("pip", "uv")}
    pinned = pins()
    assert not {name: version for name, version in installed.items() if pinned.get(name) != version}
