"""A configuration that tests may spoil."""

from typing import Any

import pytest

from experiments import read_config


@pytest.fixture
def config() -> dict[str, Any]:
    """The project's own, with a small experiment `mine`, which is chosen."""
    content = read_config()
    content["experiments"]["mine"] = {
        "protocol": "demo",
        "sources": {"natural": "mini_natural", "robust": "mini_l2"},
        "targets": ["digits"],
        "images": [100, "all"],
        "seeds": 5,
        "blocks": [3],
    }
    content["experiment"] = "mine"
    return content
