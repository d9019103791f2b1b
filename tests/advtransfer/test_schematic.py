"""Figure 9's parts against the paper's numbers of trained parameters."""

import pytest

from advtransfer.checkpoints import DEFAULTS
from advtransfer.schematic import trained_parts


def test_the_papers_settings():
    """ResNet-50 at 10 classes: 20,490 parameters in the head; 4.48M, 14.99M and 22.08M with 1, 3 and 9 blocks (section 4)."""
    table = trained_parts(DEFAULTS, 10, [0, 1, 3, 9])
    trained = table.groupby("blocks")["trained"].sum()
    assert trained[0] == 20_490
    assert (trained[[1, 3, 9]] / 1e6).round(2).tolist() == pytest.approx([4.48, 14.99, 22.08])
    nine = table[(table["blocks"] == 9) & (table["trained"] > 0)]
    assert nine["part"].tolist() == [*(f"layer3.{i}" for i in range(6)), *(f"layer4.{i}" for i in range(3)), "fc"]
    assert len(table) == 4 * 18
    assert (table["trained"].isin([0]) | (table["trained"] == table["parameters"])).all()
