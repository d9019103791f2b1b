"""The one exception that a user is meant to read."""


class InputError(ValueError):
    """Bad input. The message is one line: the place, what was found there, and the remedy."""
