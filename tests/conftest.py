"""Settings that all tests share."""

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

from loopback import serving

# Machines differ: no example has to end within a time.
settings.register_profile("no deadline", settings.default, deadline=None)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --shared=FOLDER (real images, the authors' logs), --robustness-package=FOLDER: what the project does not carry; and --whole."""
    parser.addoption(
        "--shared",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="folder with data/MNIST, data/cifar10-sample.zip and reference/consolidated_results.csv.gz; "
        "tests that need it are skipped without it",
    )
    parser.addoption(
        "--robustness-package",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="folder that tests/compatibility/write_robustness_checkpoint.py filled",
    )
    parser.addoption("--whole", action="store_true", help="with -m cluster: figures 2, 6, 7 and 8 of the demo as well")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the workflow take longest: they come first, so that no worker has to wait for one of them at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run side by side; threads of one would wait for cores that another holds."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder given with --shared; the test is skipped, and says so, without it."""
    folder = request.config.getoption("--shared")
    if folder is None:
        pytest.skip("needs real images or the authors' logs: give their folder with --shared=FOLDER")
    return folder.resolve()


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A loopback server for the test."""
    with serving() as server:
        yield server
