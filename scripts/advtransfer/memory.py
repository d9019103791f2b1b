"""Memory that is bounded: tensors that spill to disk, batches that shrink when a device runs out, freed memory kept."""

import ctypes
import logging
import math
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, instead of handing every large block back to the system at once.

    Each step of training allocates the same hundreds of megabytes; fetching them anew costs the CPU a page fault per 4 kB.
    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def allocate(shape: tuple[int, ...], dtype: "torch.dtype", device: "torch.device", room: int) -> "torch.Tensor | None":
    """An uninitialised tensor: on the device if it takes at most `room` bytes, else in a memory-mapped file, else None.

    The mapped file has no name: it lies in the system's temporary folder (TMPDIR), its pages are read on demand, and it is gone
    when the tensor or the process is. None where that folder has too little space.
    """
    import torch

    size = math.prod(shape) * dtype.itemsize
    if size <= room:
        return torch.empty(shape, dtype=dtype, device=device)
    folder = tempfile.gettempdir()
    if size > shutil.disk_usage(folder).free:
        return None
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            # Reserved, not only sized: a hole that cannot be filled later would kill the process without a word.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(size)
        except OSError:
            return None
        return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype).view(shape)


class Batches:
    """A batch size that halves when the device runs out of memory: for work whose result does not depend on it."""

    def __init__(self, size: int):
        self.size = size

    def map(self, function: Callable[[slice], "torch.Tensor"], count: int) -> Iterator[tuple[slice, "torch.Tensor"]]:
        """Yield the slices that batches cut from `count` items, each with the function's result on it.

        Once halved, the size stays so; torch's error is passed on when a batch of one item does not fit.
        """
        import torch

        start = 0
        while start < count:
            batch = slice(start, min(start + self.size, count))
            result = None
            try:
                result = function(batch)
            except torch.OutOfMemoryError:
                if batch.stop - batch.start == 1:
                    raise
            if result is None:
                # Outside of the handler: there, the exception's frames would still hold the tensors.
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                self.size = -(-(batch.stop - batch.start) // 2)
                logger.warning("out of memory: batches of %d images from now on, outside of training", self.size)
                continue
            yield batch, result
            start = batch.stop
