"""Runs through profiles/slurm on a real Slurm: what is killed on the way, and that tables come out as on one machine.

The findings that these tests close are listed in docs/cluster.md.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.conftest import Slurm, wait_for
from workflow.conftest import Checkout, copy_project

pytestmark = pytest.mark.cluster

# Jobs that a test can catch while they run.
SMALL = """\
experiment: small
protocols: {demo: {epochs: [{epochs: 60, evaluate_every: 30}]}}
experiments:
  small:
    protocol: demo
    sources: {natural: mini_natural, robust: mini_l2}
    targets: [digits]
    images: [100]
    seeds: 2
    blocks: [3]
"""
TABLE = "results/tables/small/fig2.csv"
# As on a cluster but for the pace: nothing is waited for here.
PROFILE = ["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1"]


class Run:
    """A Snakemake that runs beside the test, its process group its own, as a terminal would have it."""

    def __init__(self, checkout: Checkout, *arguments: str, commands: Path | None = None):
        self.log = checkout.folder / "run.log"
        folders = [*([commands] if commands else []), Path(sys.executable).parent]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--nocolor", *PROFILE, *arguments],
                cwd=checkout.folder,
                env={**os.environ, "PATH": ":".join([*map(str, folders), os.environ["PATH"]])},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A shell has what it starts in the background ignore Ctrl-C, as .ci/run does with these tests; a terminal does not.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def end(self, number: int) -> None:
        """Send a signal to the whole group, and wait."""
        os.killpg(self.process.pid, number)
        self.process.wait(120)

    def finish(self) -> str:
        """What it has said, once it has ended well."""
        assert self.process.wait(1200) == 0, self.log.read_text()
        return self.log.read_text()


@pytest.fixture
def start():
    """A function that starts a run; what still runs when the test ends is killed."""
    runs: list[Run] = []

    def start_one(*arguments, **options) -> Run:
        runs.append(Run(*arguments, **options))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGKILL)


def small(folder: Path) -> Checkout:
    """A copy of the project with the small experiment."""
    checkout = copy_project(folder)
    (checkout.folder / "small.yaml").write_text(SMALL)
    return checkout


def forget(checkout: Checkout) -> None:
    """Remove what was trained and tabulated."""
    for folder in ("transfer", "tables"):
        shutil.rmtree(checkout.folder / "results" / folder, ignore_errors=True)


@pytest.fixture
def slow_squeue(tmp_path) -> Path:
    """A folder with a `squeue` that takes two seconds, and adds a line to the file `asked` beside it when it begins."""
    folder = tmp_path / "slow"
    folder.mkdir()
    command = folder / "squeue"
    command.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\nsleep 2\nexec {shutil.which("squeue")} "$@"\n')
    command.chmod(0o755)
    return folder


def a_running_transfer(slurm: Slurm) -> str:
    """The number of a job that trains."""
    return wait_for(lambda: slurm.jobs(rule="transfer"), "a transfer job that runs", 300)[0]


def hold_all(slurm: Slurm) -> list[str]:
    """Suspend the jobs that run, and give their numbers."""
    return [job for job in slurm.jobs() if not subprocess.run(["scontrol", "suspend", job]).returncode]


def test_whatever_is_killed_the_table_is_as_on_one_machine(slurm, start, slow_squeue, tmp_path):
    """Ctrl-C, then SIGKILL of Snakemake, of a job, and of Slurm's controller; each run goes on where the last one ended."""
    arguments = [TABLE, "--configfile", "small.yaml"]
    local = small(tmp_path / "local")
    local.snakemake(*arguments, "--cores", "2")
    # From the same sources, target and subset: what differs is trained and tabulated.
    remote = Checkout(shutil.copytree(local.folder, tmp_path / "remote", copy_function=shutil.copy2))
    forget(remote)

    # Ctrl-C cancels the jobs and unlocks the folder; also while the plugin asks squeue, when it itself forgets its jobs.
    run = start(remote, *arguments, commands=slow_squeue)
    job = a_running_transfer(slurm)
    # gpu=1 alone asks for the device, and memory and time are what config.needs says: of 1,797 images of 8x8 pixels, a cache and little work.
    asked = slurm.ask("scontrol", "show", "job", job)
    assert re.search(r"TresPerNode=gres[:/]gpu:1|TresPerJob=gres[:/]gpu:1", asked), asked
    megabytes = re.search(r"TRES=\S*mem=(\d+)M", asked)
    assert megabytes, asked
    assert 6000 <= int(megabytes[1]) <= 7000
    assert re.search(r"TimeLimit=00:3\d:00", asked), asked
    held = hold_all(slurm)
    assert job in held
    asked = (slow_squeue / "asked").read_text()
    wait_for(lambda: (slow_squeue / "asked").read_text() != asked, "a question of the plugin")
    run.end(signal.SIGINT)
    assert run.process.returncode, "Snakemake went on in spite of Ctrl-C"
    assert not (remote.folder / TABLE).exists()
    wait_for(lambda: not slurm.jobs("PENDING,RUNNING,SUSPENDED"), "jobs that are cancelled")
    for job in held:
        assert "JobState=CANCELLED" in slurm.ask("scontrol", "show", "job", job)
    assert re.search(r"Slurm: [1-9] job\(s\) of run \S+ were still there; they are cancelled\.", run.log.read_text())
    assert not list((remote.folder / ".snakemake" / "locks").glob("*"))

    # After SIGKILL jobs run on; the next start says so in place of doing them twice. (One is held until that is seen.)
    forget(remote)
    run = start(remote, *arguments)
    job = a_running_transfer(slurm)
    subprocess.run(["scontrol", "suspend", job], check=True)
    run.end(signal.SIGKILL)
    remote.snakemake("--unlock")
    refused = remote.snakemake(*PROFILE, *arguments, check=False)
    assert refused.returncode != 0
    line = re.search(r"Slurm: \d+ job\(s\) of an earlier run .*", refused.stdout)
    assert line, refused.stdout
    assert job in slurm.jobs("SUSPENDED")
    subprocess.run(["scontrol", "resume", job], check=True)
    # Their environment is still there: one that pends or runs can end well (uv run --with would have removed it).
    wait_for(lambda: job not in slurm.jobs("PENDING,RUNNING"), "the job", 300)
    assert "JobState=COMPLETED" in slurm.ask("scontrol", "show", "job", job)
    subprocess.run(re.search(r"scancel --name \S+$", line[0])[0].split(), check=True)
    wait_for(lambda: not slurm.jobs("PENDING,RUNNING"), "jobs that are cancelled")
    forget(remote)

    # A job that is killed is repeated, with more of everything, and the terminal says why.
    run = start(remote, *arguments)
    job = a_running_transfer(slurm)
    subprocess.run(["scancel", "--signal=KILL", job], check=True)
    again = wait_for(
        lambda: [one for one in slurm.jobs(rule="transfer") if int(one) > int(job) + 1], "its repetition", 300
    )
    asked = slurm.ask("scontrol", "show", "job", again[0])
    assert re.search(r"TimeLimit=01:0\d:00", asked), asked
    # So goes on a run whose controller dies. What it was told since it last saved, which it does every 5 s, it forgets for good: an end of a job
    # as well. So all jobs are held meanwhile.
    wait_for(lambda: f"{again[0]}.0" in slurm.ask("squeue", "--steps", "-h", "-o", "%i"), "its step", 300)
    held = hold_all(slurm)
    assert again[0] in held
    time.sleep(6)
    slurm.kill_controller()
    time.sleep(2)
    slurm.start_controller()
    for one in held:
        subprocess.run(["scontrol", "resume", one], check=True)
    said = run.finish()
    assert f"transfer: SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in said
    assert re.search(rf"Slurm says: .*JOB {job} .*CANCELLED", said), said
    assert said.count("transfer: ") == said.count("Trying to restart") == 1

    assert (remote.folder / TABLE).read_bytes() == (local.folder / TABLE).read_bytes()


def test_the_demo_as_on_one_machine(slurm, start, tmp_path, request):
    """Figures 2, 6, 7 and 8 with nothing changed, two jobs killed on the way; says how long both took (-s shows it)."""
    if not request.config.getoption("--whole"):
        pytest.skip("takes ten minutes and more: --whole")
    wanted = [f"figures/fig{number}.pdf" for number in (2, 6, 7, 8)]
    took = {}
    checkouts = {name: copy_project(tmp_path / name) for name in ("local", "slurm")}
    began = time.monotonic()
    checkouts["local"].snakemake(*wanted, "--cores", "2")
    took["local"] = time.monotonic() - began
    began = time.monotonic()
    run = start(checkouts["slurm"], *wanted)
    for rule in ("transfer", "fine_tuned_model"):
        job = wait_for(lambda rule=rule: slurm.jobs(rule=rule), f"a job of {rule}", 1200)[0]
        subprocess.run(["scancel", "--signal=KILL", job], check=True)
    run.finish()
    took["slurm"] = time.monotonic() - began
    print({name: f"{seconds:.0f} s" for name, seconds in took.items()})
    # A table's .sha256 also says which rows it is made of, and these say how long models took.
    tables = {
        name: {
            path.name: path.read_bytes()
            for path in (checkout.folder / "results" / "tables" / "demo").iterdir()
            if path.suffix != ".sha256"
        }
        for name, checkout in checkouts.items()
    }
    assert set(tables["local"]) == {"fig2.csv", "fig6.safetensors", "fig7.safetensors", "fig8.csv"}
    assert tables["slurm"] == tables["local"]
