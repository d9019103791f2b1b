"""The record of a figure or table, figures/{name}.json: what lies in its files, what made it and all that lies behind, on what and how long.

A record is written by the job that writes the files. Nothing is made again for it: neither another revision of the project nor
another machine is a reason to draw a figure once more. `verify` compares records with what lies on disk. No torch here.
"""

import argparse
import csv
import datetime
import hashlib
import json
import os
import platform
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from advtransfer.artefacts import content_hash, damage_named, hash_of, save_json
from advtransfer.errors import InputError
from advtransfer.packing import unpack

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "snakemake")
# Their hash is that of their content, without what made them.
ARTEFACTS = (".parquet", ".safetensors", ".csv")
# A record's own hash, over all its other keys.
HASH = "hash"
# What Snakemake's benchmark files are read for: {its column: ours}. Its memory is in MB.
MEASURED = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "memory_mb"}


def write(
    path: str | Path,
    name: str,
    experiment: str,
    files: Iterable[str],
    provenance: Mapping[str, Any],
    behind: Iterable[str],
) -> None:
    """Write the record of some files that one job has just made.

    name: of the figure or table. experiment: its name. provenance: see `artefacts.made_of`. behind: every file that the figure was made
    of, directly or not (`config.lineage`).
    """
    behind = list(behind)
    record = {
        "name": name,
        "experiment": experiment,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": {str(file): sha256(file) for file in files},
        "provenance": dict(provenance),
        "revision": revision(),
        "versions": versions(),
        "hardware": hardware(),
        "jobs": run_times(behind),
        "behind": {file: hash_behind(file) for file in behind if Path(file).is_file()},
    }
    save_json(path, {**record, HASH: hash_of(record)})


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a command line that writes a record, `--record` and `--behind`; without the first it writes none."""
    parser.add_argument("--record", help="record to write (.json)")
    parser.add_argument(
        "--behind", type=unpack, default=[], help="every file behind the figure or table, by packing.pack"
    )


def write_asked(
    arguments: argparse.Namespace, name: str, experiment: str, files: Iterable[str], provenance: Mapping[str, Any]
) -> None:
    """`write` what a command line with `add_options` was asked for."""
    if arguments.record:
        write(arguments.record, name, experiment, files, provenance, arguments.behind)


def read(path: str | Path) -> dict[str, Any]:
    """A record as `write` made it. Raises InputError where it is missing, cannot be read or was changed."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Make the figure or table again.")
    with damage_named(path, "record", "Make the figure or table again."):
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        stated = record.pop(HASH)
    if stated != hash_of(record):
        raise InputError(
            f"{path}: changed, it has not the hash that it states. Remove it and make the figure or table again."
        )
    return record


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_behind(file: str) -> str:
    """The hash by which a record knows a file behind a figure: of an artefact that of its content, of other files that of their bytes."""
    made = file.startswith("results/") and not file.startswith("results/downloads/")
    if made and Path(file).suffix in ARTEFACTS:
        return content_hash(file)
    return f"sha256:{sha256(file)}"


def revision(folder: Path = PROJECT) -> dict[str, Any] | None:
    """{"commit": the project's git revision, "clean": whether no file differs from it and none is beside it}; None without git.

    None as well where the project lies in the repository of something else, which does not hold it.
    """

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "Snakefile")
        return {"commit": git("rev-parse", "HEAD"), "clean": not git("status", "--porcelain", ".")}
    except (OSError, subprocess.SubprocessError):
        return None


def versions() -> dict[str, str | None]:
    """Versions of this project, of Python and of what is installed beside it; None of what is not. Nothing is imported for it."""
    found = {"advtransfer": _own_version(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _own_version() -> str | None:
    file = PROJECT / "pyproject.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))["project"]["version"] if file.is_file() else None


def hardware() -> dict[str, Any]:
    """{"cpu": model, "cores": that this process may use, "memory_gb", "gpus": [model]} of the machine that this runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": _cpu(), "cores": cores, "memory_gb": round(memory / 1e9, 1), "gpus": _gpus()}


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """By the driver's own program, as torch would take seconds to import."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def benchmark_file(file: str) -> Path:
    """Where Snakemake writes what the job took that makes a file of results/: at the same place in results/benchmarks/."""
    return Path("results/benchmarks", *PurePosixPath(file).parts[1:]).with_suffix(".tsv")


def run_times(files: Iterable[str], folder: Path = Path()) -> dict[str, dict[str, float]]:
    """{file: {"seconds", "cpu_seconds", "memory_mb"}} of the jobs that made some files of results/, of those that were measured.

    Wall seconds, seconds of all cores together, the largest resident memory in MB; of several runs of a job the last. A value that
    Snakemake could not measure (of a job of less than a moment) is left out.
    """
    found = {}
    for file in files:
        path = folder / benchmark_file(file)
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines, delimiter="\t"))
            found[file] = {
                ours: float(rows[-1][key]) for key, ours in MEASURED.items() if rows and _number(rows[-1], key)
            }
    return found


def _number(row: Mapping[str, str], key: str) -> bool:
    try:
        float(row[key])
    except (KeyError, TypeError, ValueError):
        return False
    return True


def describe_run(experiment: str, folder: str | Path = ".") -> dict[str, Any]:
    """What the figures and tables of an experiment were made with, out of their records in figures/.

    experiment: its name. folder: of the project, with figures/ in it. Returns, JSON-compatible,

        records    how many there are of this experiment; the rest is empty where that is 0
        made       [first, last] time of writing, ISO 8601 in UTC
        revisions  [{"commit", "clean"} or null, ...], see `revision`
        versions   [{name: version or null}, ...], see `versions`
        hardware   [{"cpu", "cores", "memory_gb", "gpus"}, ...], see `hardware`, of the machines that drew the figures
        jobs       {folder of results/: {"jobs", "seconds", "cpu_seconds" (sums), "memory_mb" (the largest)}} of the measured jobs behind
                   all of them, each counted once

    with each different one of a list once. Records that cannot be read or were changed are passed over: `verify` names them.
    """
    records, jobs = [], {}
    for path in sorted(Path(folder, "figures").glob("*.json")):
        try:
            record = read(path)
        except InputError:
            continue
        if record["experiment"] == experiment:
            records.append(record)
            jobs |= record["jobs"]
    made = sorted(record["made"] for record in records)
    return {
        "records": len(records),
        "made": [made[0], made[-1]] if made else [],
        **{
            plural: _different(record[key] for record in records)
            for plural, key in (("revisions", "revision"), ("versions", "versions"), ("hardware", "hardware"))
        },
        "jobs": sums_of(jobs),
    }


def sums_of(jobs: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Run times, as `run_times` gives them, together for each folder of results/; see `describe_run`."""
    groups: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for file, measured in jobs.items():
        groups[PurePosixPath(file).parts[1]].append(measured)
    return {
        kind: {
            "jobs": len(group),
            "seconds": round(sum(one.get("seconds", 0) for one in group), 2),
            "cpu_seconds": round(sum(one.get("cpu_seconds", 0) for one in group), 2),
            "memory_mb": max((one.get("memory_mb", 0) for one in group), default=0),
        }
        for kind, group in sorted(groups.items())
    }


def _different(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())
