"""What a run on a cluster checks before it begins, says when a job fails, cancels when it gives up, and removes when a job ends. No torch here."""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from advtransfer.devices import lock_folder
from advtransfer.errors import InputError

# A run of the plugin names all its jobs by a UUID.
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WAITING = "PENDING,CONFIGURING,RUNNING,SUSPENDED"
# Snakemake's name of the event (snakemake_interface_logger_plugins.common.LogEvent, which tests compare).
JOB_ERROR = "job_error"
# In the log of a job: of Slurm's manager of its steps, and of the shell that saw a signal.
SLURMS_WORDS = re.compile(r"slurmstepd|killed by signal|[Oo]ut.of.memory|oom.kill")
# Locks that nobody holds belong to a job that was killed, or to one that is just beginning.
BEGINNING_SECONDS = 3600


def require_conda(asked: bool) -> None:
    """Raise InputError where conda environments are asked for and there is no conda to build them."""
    if asked and shutil.which("conda") is None:
        raise InputError(
            "--software-deployment-method: conda is asked for, but no command 'conda' is found. Install it or load its module, "
            "or leave the option out: jobs then use the Python that runs Snakemake."
        )


def require_no_earlier_jobs(folder: Path) -> None:
    """Raise InputError where Slurm has jobs of an earlier run in `folder`: their Snakemake was killed, and they would be done twice.

    Says nothing where Slurm does not answer.
    """
    if runs := _jobs_by_run(folder):
        names = ",".join(runs)
        raise InputError(
            f"Slurm: {sum(runs.values())} job(s) of an earlier run are still there, and would be done twice. Wait for them "
            f"(squeue --name {names}), or end them: scancel --name {names}"
        )


def cancel_jobs(folder: Path) -> None:
    """End the jobs that Slurm still has of a run in `folder` whose Snakemake is about to give up, and say so on standard error.

    On Ctrl-C Snakemake cancels those jobs that it has in its list, and the list is empty while it asks Slurm for their states.
    Says nothing where Slurm does not answer: the next start asks again (`require_no_earlier_jobs`).
    """
    for name, number in _jobs_by_run(folder).items():
        command = ["scancel", "--name", name]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip()
            said = f"{number} job(s) of run {name} cannot be cancelled ({reason}). End them: {' '.join(command)}"
        else:
            said = f"{number} job(s) of run {name} were still there; they are cancelled."
        print(f"Slurm: {said}", file=sys.stderr, flush=True)


def _jobs_by_run(folder: Path) -> dict[str, int]:
    """How many jobs Slurm has of each run in `folder` that wait or run, by the run's name; none where Slurm does not answer."""
    try:
        listed = subprocess.run(
            ["squeue", "--me", "--noheader", f"--states={WAITING}", "--format=%i|%j|%Z"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    runs: dict[str, int] = {}
    for line in listed.stdout.splitlines():
        job, name, place = line.strip().split("|", 2)
        if RUN.search(name) and job != os.environ.get("SLURM_JOB_ID") and _same(Path(place), folder):
            runs[name] = runs.get(name, 0) + 1
    return runs


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


class Reasons(logging.Handler):
    """Says on the terminal, why a job failed and may be repeated, which Snakemake hides where it is quiet about rules.

    For Snakemake's own logger.
    """

    def __init__(self):
        super().__init__()
        self.began = time.time()

    def emit(self, record: logging.LogRecord) -> None:
        """Print what a record of a job's error says: Slurm's state of it, how its log ends, and Slurm's words. Other records are left alone."""
        if getattr(getattr(record, "event", None), "value", None) != JOB_ERROR or not record.log:
            return
        files = record.log
        parts = [f"{record.rule_name}: {' '.join((record.rule_msg or 'failed.').split())}"]
        # A log of an earlier run says nothing of a job that was killed before its first word.
        if (last := _last_line(files[0])) and Path(files[0]).stat().st_mtime >= self.began:
            parts.append(f"{files[0]} ends: {last}")
        if len(files) > 1 and (last := _last_line(files[-1], SLURMS_WORDS)):
            parts.append(f"Slurm says: {last}")
        print(*parts, sep="\n    ", file=sys.stderr, flush=True)


def _last_line(file: str, pattern: re.Pattern[str] = re.compile(r"\S")) -> str:
    """The last line of a file in which the pattern occurs, empty where there is none."""
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if pattern.search(line)), "")


def remove_locks() -> None:
    """Remove this Slurm job's folder of GPU locks (`devices.lock_folder`), and those that jobs of this user left when they were killed.

    The second are known by their age, and that nobody holds a lock in them. Does nothing outside of a Slurm job.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return
    own = lock_folder()
    shutil.rmtree(own, ignore_errors=True)
    pattern = f"{own.name.removesuffix(os.environ['SLURM_JOB_ID'])}[0-9]*"
    for folder in own.parent.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > BEGINNING_SECONDS and not any(map(_held, folder.iterdir())):
                shutil.rmtree(folder)


def _held(file: Path) -> bool:
    """Whether a process holds the lock of a file."""
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
