"""What all command lines share: progress goes to stderr as plain lines, bad input ends in one line."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from advtransfer.errors import InputError

# The library's loggers, and that of the command line itself.
LOGGERS = ("advtransfer", "__main__")


class _OneLine(logging.Formatter):
    """The message alone, on one line: the last line of a job's log says how far the job has come."""

    def format(self, record: logging.LogRecord) -> str:
        return _joined(record.getMessage())


def _joined(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())


@contextmanager
def command_line(level: int = logging.INFO) -> Iterator[None]:
    """Around a command line's main(): log messages from `level` up go to stderr, each as one line, flushed at once.

    Only this project's: other libraries log as they did, which is warnings. An InputError becomes its one line on stderr and
    exit code 1, no traceback; so does a full disk. Loggers are left as they were found.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False  # a library that sets up the root logger would repeat each line
    try:
        yield
    except InputError as error:
        raise SystemExit(_joined(str(error))) from None
    except Exception as error:
        # Writers raise OSError, and safetensors an error of its own with the system's words.
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)
        if not full:
            raise
        place = getattr(error, "filename", None) or "results/"
        raise SystemExit(
            f"{place}: the disk is full. Make room and run the same command again; nothing half-written is left."
        ) from None
    finally:
        for logger, (old_level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate
