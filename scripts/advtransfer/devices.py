"""Which device a job computes on: on a machine with several GPUs, one that no other job has."""

import fcntl
import functools
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from advtransfer.errors import InputError
from advtransfer.memory import keep_freed_memory

if TYPE_CHECKING:
    import torch

POLL_SECONDS = 1.0


def pick_device(threads: int, precision: str | None = None) -> "torch.device":
    """A visible GPU that is this job's alone until it ends, else the CPU with `threads` threads.

    Waits, and says so, while other jobs of this user have all visible GPUs. TF32 is off, so that float32 means float32, unless
    the precision is "tf32".
    """
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if not torch.cuda.is_available():
        keep_freed_memory()
        return torch.device("cpu")
    index = _own_gpu()
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


@functools.cache  # one device a process, however often it is asked for
def _own_gpu() -> int:
    import torch

    # A device's number depends on CUDA_VISIBLE_DEVICES, its UUID does not.
    names = [f"gpu-{torch.cuda.get_device_properties(index).uuid}" for index in range(torch.cuda.device_count())]
    return claim(names, lock_folder())


def lock_folder() -> Path:
    """Where this user's locks lie on this machine.

    Within a Slurm job it is a folder of that job: its devices are its own already (and may be shares of one GPU), so that
    only the processes inside it have to agree.
    """
    job = os.environ.get("SLURM_JOB_ID")
    return Path(tempfile.gettempdir(), f"advtransfer-{os.getuid()}" + (f"-slurm{job}" if job else ""))


def claim(names: Sequence[str], folder: Path) -> int:
    """Index of the first of `names` that nobody else has claimed in `folder`; it is taken until this process ends.

    However the process ends, the kernel releases its lock: nothing has to be cleaned up. Waits, and says so on stderr, while
    all names are taken.
    Raises InputError where the folder cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = [os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in names]
    except OSError as error:
        raise InputError(
            f"{folder}: locks of GPUs cannot be kept here ({error.strerror}). Set TMPDIR to a folder of your own."
        ) from None
    waiting = False
    while True:
        for index, file in enumerate(files):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            for other in files[:index] + files[index + 1 :]:
                os.close(other)
            return index  # its file stays open, and with it the lock
        if not waiting:
            count = len(files)
            line = f"all {count} GPU(s) are taken by other jobs: waiting (--resources gpu={count} starts no more jobs)"
            print(line, file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL_SECONDS)
