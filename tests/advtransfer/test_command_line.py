"""What command lines say, and where: one line at a time on stderr."""

import errno
import logging
import os
import subprocess
import sys

import pytest

from advtransfer.command_line import command_line
from advtransfer.errors import InputError
from advtransfer.provenance import SCRIPTS


def test_messages_are_plain_lines_on_stderr(capsys):
    with command_line():
        logging.getLogger("advtransfer.transfer").info("seed %d epoch %d/%d", 1, 2, 3)
        logging.getLogger("advtransfer.memory").warning("out of memory:\n  smaller batches\n")
        logging.getLogger("advtransfer").debug("not said")
        logging.getLogger("__main__").info("the command line itself")
        try:
            raise ValueError("several\nlines")
        except ValueError:
            logging.getLogger("advtransfer").exception("went wrong")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "seed 1 epoch 2/3",
        "out of memory: smaller batches",
        "the command line itself",
        "went wrong",
    ]


def test_a_higher_level_says_less(capsys):
    with command_line(logging.WARNING):
        logging.getLogger("advtransfer.transfer").info("seed 1 epoch 2/3")
        logging.getLogger("advtransfer.memory").warning("out of memory")
    assert capsys.readouterr().err == "out of memory\n"


def test_other_libraries_stay_as_they_are(capsys):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    with command_line():
        assert (root.level, root.handlers) == before
        for name in ("kronfluence", "snakemake", "matplotlib.font_manager"):
            logging.getLogger(name).info("chatter")
    assert capsys.readouterr().err == ""


def test_nothing_is_said_twice_where_a_library_sets_up_the_root_logger(capsys):
    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    try:
        with command_line():
            logging.getLogger("advtransfer.transfer").warning("once")
    finally:
        root.removeHandler(handler)
    assert capsys.readouterr().err == "once\n"


def test_loggers_are_left_as_they_were():
    logger = logging.getLogger("advtransfer")
    before = logger.level, logger.propagate, list(logger.handlers)
    with pytest.raises(KeyError), command_line():
        raise KeyError("some bug")
    assert (logger.level, logger.propagate, logger.handlers) == before


def test_bad_input_is_one_line_and_exit_code_1():
    with pytest.raises(SystemExit) as caught, command_line():
        raise InputError("file.safetensors: not readable (Error:\n  a\n  b). Make it again.")
    assert caught.value.code == "file.safetensors: not readable (Error: a b). Make it again."
    assert caught.value.__suppress_context__
    code = (
        "from advtransfer.command_line import command_line\nfrom advtransfer.errors import InputError\n"
        "with command_line():\n    raise InputError('one line')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "one line\n")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/rows.parquet"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "results/rows.parquet"),
        RuntimeError(f"Error while serializing: I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line(error):
    with (
        pytest.raises(SystemExit, match=r"^results/.*: the disk is full\. Make room and run the same command again"),
        command_line(),
    ):
        raise error


def test_other_errors_keep_their_traceback():
    with pytest.raises(OSError, match="Permission"), command_line():
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "results/rows.parquet")
