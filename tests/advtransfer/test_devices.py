"""Devices are shared out by locks that die with their holders; asserted with real processes, no GPU needed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from advtransfer.devices import claim, lock_folder, pick_device
from advtransfer.errors import InputError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# Claims one of the names, says which, and holds it until its standard input is closed.
HOLDER = """
import sys
from pathlib import Path
from advtransfer.devices import claim
names = sys.argv[2:]
print(names[claim(names, Path(sys.argv[1]))], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """A function that starts a process claiming one of the names; all are ended with the test."""
    started = []

    def start_one(*names):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "locks"), *names],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()


def said(process):
    return process.stdout.readline().strip()


def test_jobs_have_devices_of_their_own_and_the_next_one_waits_for_the_first_that_ends(start):
    first, second = start("a", "b"), start("a", "b")
    assert {said(first), said(second)} == {"a", "b"}
    third = start("a", "b")
    assert said(third).startswith("all 2 GPU(s) are taken by other jobs")
    second.stdin.close()
    second.wait(timeout=30)
    assert said(third) in ("a", "b")


def test_a_killed_job_holds_nothing(start):
    first = start("a")
    assert said(first) == "a"
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=30)
    assert said(start("a")) == "a"


def test_jobs_that_see_different_devices_do_not_wait_for_each_other(start):
    assert said(start("a")) == "a"
    assert said(start("b", "a")) == "b"
    assert said(start("a", "c")) == "c"


def test_a_folder_that_cannot_hold_locks_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: locks of GPUs cannot be kept here .* Set TMPDIR"):
        claim(["a"], tmp_path / "file")


def test_processes_of_one_slurm_job_share_locks_and_other_jobs_do_not(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    outside = lock_folder()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert str(os.getuid()) in outside.name
    assert lock_folder().name == f"{outside.name}-slurm7"


def test_without_a_gpu_a_job_computes_on_its_share_of_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(1) == torch.device("cpu")
    assert torch.get_num_threads() == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_a_process_keeps_its_gpu():
    device = pick_device(1)
    assert device.type == "cuda"
    assert pick_device(1) == device
    assert torch.cuda.current_device() == device.index
