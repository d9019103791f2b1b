"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Bad input. The message is one line: the place, what was found there, and the remedy."""


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Around a command line's main(): an InputError becomes its one line on stderr and exit code 1, no traceback."""
    try:
        yield
    except InputError as error:
        raise SystemExit(str(error)) from None
