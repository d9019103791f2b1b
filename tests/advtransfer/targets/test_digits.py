"""scikit-learn's digits as a target."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from advtransfer.targets.catalogue import INSTALLED
from advtransfer.targets.digits import build


def test_digits_are_the_scans_in_their_order() -> None:
    dataset = build({"kind": "digits"}, Path("unused"), "config.yaml: target 'digits'")
    counts = {"train": len(dataset.train_labels), "test": len(dataset.test_labels), "classes": len(dataset.class_names)}
    assert counts == INSTALLED["digits"].counts
    assert dataset.train_images.shape == (1297, 1, 8, 8)
    assert dataset.train_images.dtype == torch.uint8
    assert dataset.train_labels.dtype == torch.int64
    assert (dataset.train_images.min(), dataset.train_images.max()) == (0, 255)
    bunch = load_digits()
    images = torch.cat([dataset.train_images, dataset.test_images])[:, 0].numpy()
    assert np.abs(images / 255 * 16 - bunch.images).max() < 0.04
    assert np.array_equal(torch.cat([dataset.train_labels, dataset.test_labels]).numpy(), bunch.target)
