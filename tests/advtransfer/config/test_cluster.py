"""What is noticed before a run on a cluster, and what a job leaves behind; asserted with real processes, no Slurm needed."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from advtransfer.config.cluster import (
    BEGINNING_SECONDS,
    Reasons,
    cancel_jobs,
    remove_locks,
    require_conda,
    require_no_earlier_jobs,
)
from advtransfer.devices import lock_folder
from advtransfer.errors import InputError

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
RUN = "cc87c08b-600f-489e-8e0e-7de24f714ea0"
# Claims a lock as a job does, says so, and holds it until its standard input is closed.
HOLDER = """
import sys
from advtransfer.devices import claim, lock_folder
claim(["gpu-0"], lock_folder())
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """A function that makes the command `squeue` print some lines, and end with a code."""

    def put(*lines, code=0):
        command = tmp_path / "bin" / "squeue"
        command.parent.mkdir(exist_ok=True)
        printed = "".join(f"echo '{line}'\n" for line in lines)
        command.write_text(f"#!/bin/sh\n{printed}exit {code}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return put


def test_jobs_of_an_earlier_run_are_named_with_the_command_that_ends_them(answer, tmp_path):
    answer(f"7|{RUN}|{tmp_path}", f"8|demo-{RUN}|{tmp_path}", f"9|{RUN}|{tmp_path}")
    with pytest.raises(InputError) as refused:
        require_no_earlier_jobs(tmp_path)
    assert "3 job(s) of an earlier run" in str(refused.value)
    assert str(refused.value).endswith(f"scancel --name {RUN},demo-{RUN}")
    assert len(str(refused.value)) < 300


def test_other_jobs_do_not_matter(answer, tmp_path, monkeypatch):
    """In another folder, of another name, or the one that Snakemake itself runs in; and a Slurm that does not answer."""
    (tmp_path / "other").mkdir()
    answer(f"7|{RUN}|{tmp_path / 'other'}", f"8|interactive|{tmp_path}", f"9|{RUN}|/no/such/folder")
    require_no_earlier_jobs(tmp_path)
    answer(f"7|{RUN}|{tmp_path}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    require_no_earlier_jobs(tmp_path)
    answer("slurm_load_jobs error: Unable to contact slurm controller", code=1)
    require_no_earlier_jobs(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    require_no_earlier_jobs(tmp_path)


@pytest.fixture
def cancelled(tmp_path):
    """A function that makes the command `scancel` write down what it is asked, and end with a code; gives that file."""

    def put(code=0):
        command = tmp_path / "bin" / "scancel"
        command.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/cancelled\necho 'no reply' >&2\nexit {code}\n")
        command.chmod(0o755)
        return tmp_path / "cancelled"

    return put


def test_jobs_of_a_run_that_gives_up_are_cancelled(answer, cancelled, tmp_path, monkeypatch, capsys):
    answer(f"7|{RUN}|{tmp_path}", f"8|{RUN}|{tmp_path}", f"9|other-{RUN}|/no/such/folder", f"10|interactive|{tmp_path}")
    asked = cancelled()
    cancel_jobs(tmp_path)
    assert asked.read_text() == f"--name {RUN}\n"
    assert capsys.readouterr().err == f"Slurm: 2 job(s) of run {RUN} were still there; they are cancelled.\n"
    cancelled(code=1)
    cancel_jobs(tmp_path)
    refused = f"Slurm: 2 job(s) of run {RUN} cannot be cancelled (no reply). End them: scancel --name {RUN}\n"
    assert capsys.readouterr().err == refused
    (tmp_path / "bin" / "scancel").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    cancel_jobs(tmp_path)
    said = capsys.readouterr().err
    assert "No such file or directory: 'scancel'" in said
    assert said.endswith(f"End them: scancel --name {RUN}\n")


def test_a_run_that_leaves_no_jobs_cancels_none(answer, cancelled, tmp_path, capsys):
    for lines, code in (((), 0), (("slurm_load_jobs error: Unable to contact slurm controller",), 1)):
        answer(*lines, code=code)
        asked = cancelled()
        cancel_jobs(tmp_path)
        assert not asked.exists()
        assert capsys.readouterr().err == ""


def test_conda_that_is_asked_for_and_missing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    require_conda(False)
    with pytest.raises(
        InputError, match=r"no command 'conda' is found\. Install it or load its module, or leave the option out"
    ):
        require_conda(True)
    (tmp_path / "conda").write_text("#!/bin/sh\n")
    (tmp_path / "conda").chmod(0o755)
    require_conda(True)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A function that makes the lock folder of a Slurm job, so many seconds old, and gives its path."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def make(job, age=0.0):
        monkeypatch.setenv("SLURM_JOB_ID", str(job))
        folder = lock_folder()
        folder.mkdir()
        (folder / "gpu-0.lock").touch()
        os.utime(folder, (time.time() - age,) * 2)
        return folder

    return make


def test_a_job_removes_its_own_folder_of_locks_and_old_ones_that_nobody_holds(folders, tmp_path, monkeypatch):
    old, new = folders(1, 2 * BEGINNING_SECONDS), folders(2)
    unrelated = tmp_path / f"{old.name}-mine"
    unrelated.mkdir()
    os.utime(unrelated, (0, 0))
    outside = tmp_path / old.name.removesuffix("-slurm1")
    outside.mkdir()
    os.utime(outside, (0, 0))
    own = folders(3)
    remove_locks()
    assert not own.exists()
    assert not old.exists()
    assert new.exists()
    assert outside.exists()
    remove_locks()  # nothing of it is there
    monkeypatch.delenv("SLURM_JOB_ID")
    remove_locks()
    assert outside.exists()


def test_locks_that_a_job_holds_stay(folders, tmp_path):
    held = folders(1)
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        os.utime(held, (0, 0))
        folders(2)
        remove_locks()
        assert held.exists()
        holder.stdin.close()
        holder.wait(30)
    folders(3)
    remove_locks()
    assert not held.exists()


def test_why_a_job_is_repeated_is_said_on_the_terminal(tmp_path, capsys):
    own, of_slurm = tmp_path / "own.log", tmp_path / "7.log"
    old = tmp_path / "old.log"
    old.write_text("epoch 30 of 30\n")
    os.utime(old, (0, 0))
    of_slurm.write_text("slurmstepd: error: *** JOB 7 ON n1 CANCELLED ***\nExiting because a job execution failed.\n")
    logger = logging.Logger("snakemake.logging")
    logger.addHandler(Reasons())
    own.write_text("epoch 1\nepoch 2 of 30\n\n")
    os.utime(own, (time.time() + 1,) * 2)  # file systems round
    told = {
        "event": LogEvent.JOB_ERROR,
        "rule_name": "transfer",
        "rule_msg": "SLURM-job '7' failed,\n status 'CANCELLED'.",
        "jobid": 3,
    }
    logger.error("Error in rule", extra=told | {"log": [str(own), str(of_slurm)]})
    logger.info("Finished jobid 4", extra={"event": LogEvent.JOB_FINISHED, "job_id": 4})
    logger.info("rule transfer:", extra=told | {"event": LogEvent.JOB_INFO, "log": [str(own)]})
    logger.info("something else")
    logger.error("Error in rule", extra=told | {"rule_msg": None, "log": [str(tmp_path / "none")]})
    logger.error("Error in rule", extra=told | {"rule_msg": "killed", "log": [str(old)]})
    assert capsys.readouterr().err.splitlines() == [
        "transfer: SLURM-job '7' failed, status 'CANCELLED'.",
        f"    {own} ends: epoch 2 of 30",
        "    Slurm says: slurmstepd: error: *** JOB 7 ON n1 CANCELLED ***",
        "transfer: failed.",
        "transfer: killed",
    ]
