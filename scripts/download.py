"""Fetch one file, verify it, and put it in its place."""

import argparse

from advtransfer.command_line import command_line
from advtransfer.downloads import fetch


def main() -> None:
    """Parse and fetch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--url",
        required=True,
        help="http(s) address; a file on GitHub: https://raw.githubusercontent.com/<owner>/<repo>/<commit>/<path>",
    )
    parser.add_argument(
        "--hash",
        action="append",
        default=[],
        help="sha256:..., sha1:..., md5:... or git:<blob id>; given several times, one has to match; without it, none",
    )
    parser.add_argument("--mirror", help="URL prefix or folder that is asked before the address; may be empty")
    parser.add_argument(
        "--lock", help="file of SHA-256 hashes, where first downloads are recorded and later ones compared"
    )
    parser.add_argument("--output", required=True, help="file to write")
    arguments = parser.parse_args()
    fetch(arguments.url, arguments.output, arguments.hash, arguments.mirror or None, lock=arguments.lock)


if __name__ == "__main__":
    with command_line():
        main()
