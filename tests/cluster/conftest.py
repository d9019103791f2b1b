"""A Slurm of one node on this machine, from Debian's packages slurm-wlm and munge, without systemd and without accounting."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# SLURM_CONF would do as well, but the plugin for job steps removes all SLURM variables.
CONFIGURATION = Path("/etc/slurm")
SLURM_CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=32000 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Devices that can be asked for and do nothing.
GRES_CONF = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
COMMANDS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel")


def lacking() -> str:
    """What this machine lacks for a Slurm of its own, empty where nothing."""
    if not sys.platform.startswith("linux"):
        return "Linux"
    if missing := [name for name in COMMANDS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]:
        return f"{missing[0]} (Debian's packages slurm-wlm and munge)"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm (uv run --group slurm)"
    if os.getuid() != 0:
        return "root, which may write into /etc/slurm"
    if (CONFIGURATION / "slurm.conf").exists():
        return "a machine without a Slurm: /etc/slurm/slurm.conf exists"
    return ""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120) -> object:
    """The first value of a condition that counts as true; an AssertionError after some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


class Slurm:
    """The daemons, each a child of this process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.running: dict[str, subprocess.Popen] = {}
        for name in ("state", "spool"):
            (folder / name).mkdir()

    def start(self, name: str, *arguments: str) -> None:
        """Start a daemon that stays in the foreground."""
        with (self.folder / f"{name}.log").open("a") as log:
            path = f"{os.environ['PATH']}:/usr/sbin"
            command = [shutil.which(name, path=path), *arguments]
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start_controller(self) -> None:
        """Start slurmctld, and wait until it answers and its node can take jobs."""
        self.start("slurmctld", "-D")
        wait_for(
            lambda: (
                {state.rstrip("*") for state in self.ask("sinfo", "-h", "-o", "%t").split()} & {"idle", "mix", "alloc"}
            ),
            f"a node of {self.folder}",
        )

    def kill_controller(self) -> None:
        """End slurmctld as a crash would."""
        process = self.running.pop("slurmctld")
        process.kill()
        process.wait()

    def ask(self, *command: str) -> str:
        """What a command of Slurm answers; nothing where it cannot."""
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def jobs(self, state: str = "RUNNING", rule: str = "") -> list[str]:
        """The numbers of the jobs in a state, or of those of a rule."""
        lines = self.ask("squeue", "-h", f"--states={state}", "-o", "%i %k").splitlines()
        return [line.split()[0] for line in lines if f"rule_{rule}" in line]

    def stop(self) -> None:
        """End all jobs and daemons, by their numbers."""
        if "slurmctld" in self.running:
            self.ask("scancel", "--user=root")
            # What does not end here ends with its daemon's step managers below.
            for _ in range(100):
                if not self.jobs("PENDING,RUNNING,COMPLETING"):
                    break
                time.sleep(0.1)
        for process in self.running.values():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    """A Slurm that runs; tests that ask for it are skipped, with what is missing, where there can be none."""
    if missing := lacking():
        pytest.skip(f"needs {missing}")
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    (slurm.folder / "munge.key").write_bytes(os.urandom(128))
    (slurm.folder / "munge.key").chmod(0o600)
    host = socket.gethostname().split(".")[0]
    texts = {
        "slurm.conf": SLURM_CONF.format(host=host, folder=slurm.folder, controller=free_port(), daemon=free_port()),
        "gres.conf": GRES_CONF,
    }
    made = [] if CONFIGURATION.exists() else [CONFIGURATION]
    CONFIGURATION.mkdir(exist_ok=True)
    before = {name: (CONFIGURATION / name).read_bytes() for name in texts if (CONFIGURATION / name).exists()}
    try:
        for name, text in texts.items():
            (CONFIGURATION / name).write_text(text)
        # --force: its folders are not those that it expects.
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={slurm.folder}/munge.{ending}" for option, ending in places.items()]
        slurm.start("munged", "--foreground", "--force", *options)
        wait_for((slurm.folder / "munge.socket").exists, "munged")
        slurm.start("slurmd", "-D")
        slurm.start_controller()
        yield slurm
    finally:
        slurm.stop()
        for name in texts:
            (CONFIGURATION / name).unlink(missing_ok=True)
            if name in before:
                (CONFIGURATION / name).write_bytes(before[name])
        for folder in made:
            folder.rmdir()
