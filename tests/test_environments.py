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


# Names of what exists on Linux only (or means something else there), with the modules that ask first.
LINUX_ONLY = {
    r"/proc/|/sys/|/dev/(?!null)": {"advtransfer/figure_records.py"},
    r"sched_getaffinity|os\.fork\b|fork_server|\"fork\"|epoll|inotify|memfd": {"advtransfer/figure_records.py"},
    r"mallopt|posix_fallocate|posix_fadvise": {"advtransfer/memory.py"},
}


def test_nothing_that_only_linux_has_is_used_unasked():
    """README.md promises macOS too; the modules named here ask for it with hasattr, getattr or sys.platform."""
    found = {
        (pattern, file.relative_to(PROJECT / "scripts").as_posix())
        for file in (PROJECT / "scripts").rglob("*.py")
        for pattern in LINUX_ONLY
        if re.search(pattern, file.read_text())
    }
    assert found == {(pattern, name) for pattern, names in LINUX_ONLY.items() for name in names}


def test_the_platforms_that_are_promised_are_checked():
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "checks.yml").read_text())
    matrix = workflow["jobs"]["checks"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos"}
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={matrix['python'][0]}"
    promised = re.search(r"Python (\S+) to (\S+);", (PROJECT / "README.md").read_text())
    assert promised.groups() == (matrix["python"][0], matrix["python"][-1])
    steps = workflow["jobs"]["checks"]["steps"]
    assert steps[-1]["run"] == "bash .ci/run"
