"""How far an experiment's fine-tuning has come, read off the files of its jobs. No torch here."""

from pathlib import Path
from typing import Any

from advtransfer.config.grid import transfer_jobs

# Jobs whose last words are shown.
SHOWN = 20


def progress(experiment: dict[str, Any], now: float) -> list[str]:
    """Lines: models and jobs done, then the last line of the log of each job that began and has not finished, newest first.

    experiment: resolved, see `grid`. now: seconds since the epoch. A job is done where its file of rows exists; one that died says in its
    last line why, or has said nothing for long.
    """
    jobs = transfer_jobs(experiment)
    if not jobs:
        return [f"Experiment {experiment['name']}: nothing to train, its rows are read from a file."]
    done = {file for file in jobs if Path(file).is_file()}
    total, models = (sum(jobs[file].models for file in files) for files in (jobs, done))
    lines = [
        f"Experiment {experiment['name']}, protocol {experiment['protocol']}: {models:,} of {total:,} models ({models / total:.0%}), "
        f"{len(done):,} of {len(jobs):,} jobs are done."
    ]
    logs = {file: Path(file.replace("results/", "results/logs/", 1)).with_suffix(".log") for file in jobs.keys() - done}
    spoke = {file: log.stat().st_mtime for file, log in logs.items() if log.is_file()}
    if spoke:
        lines.append(f"Begun and not finished: {len(spoke):,}. What each said last:")
    for file in sorted(spoke, key=spoke.get, reverse=True)[:SHOWN]:
        words = logs[file].read_text(encoding="utf-8").splitlines() or ["nothing yet"]
        name = Path(file).relative_to(f"results/transfer/{experiment['protocol']}").with_suffix("")
        lines.append(f"  {name}, {_ago(now - spoke[file])} ago: {words[-1]}")
    if len(spoke) > SHOWN:
        lines.append(f"  and {len(spoke) - SHOWN:,} more")
    return lines


def _ago(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
