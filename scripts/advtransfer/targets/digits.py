"""Hand-written digits that scikit-learn ships: real data, offline, in a millisecond."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advtransfer.datasets import Dataset
from advtransfer.targets.catalogue import INSTALLED


def build(settings: Mapping[str, Any], downloads: Path, place: str) -> Dataset:
    """scikit-learn's 1,797 real 8x8 scans of hand-written digits, 1,297 for training and the last 500 for testing.

    The last scans come from other writers than the first (scikit-learn keeps the order of the UCI file), so the fixed
    split also separates writers. Grey levels 0 to 16 are scaled to 0 to 255.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    split = INSTALLED["digits"].train
    return Dataset(
        images[:split],
        labels[:split],
        images[split:],
        labels[split:],
        [str(digit) for digit in range(10)],
        {
            "kind": "digits",
            "source": "scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits, test part)",
        },
    )
