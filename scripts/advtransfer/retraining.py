"""The whole fine-tuning repeated on subsets of the training images: what an influence is to predict, beyond the head's own retraining.

`datamodels.retrain` trains the head anew on features that stay; here trained blocks, head and batch-norm statistics all follow from the subset.
Such a loss also hangs on the seed (the head's start, the order of images), which no influence knows: several seeds' losses say how much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from advtransfer.datasets import Dataset
from advtransfer.features import read_out
from advtransfer.transfer import fine_tune_seeds


def retrained_losses(
    source: str | Path,
    dataset: Dataset,
    image_ids: torch.Tensor,
    query_ids: torch.Tensor,
    subsets: np.ndarray,
    seeds: Sequence[int],
    blocks: int,
    protocol: Mapping[str, Any],
    device: torch.device,
) -> np.ndarray:
    """Cross-entropy [seeds, subsets, q] in nats of test images `query_ids` [q] after fine-tuning on each subset, once for each seed.

    image_ids [n]: of training images; subsets: a mask [subsets, n] of them. source, blocks, protocol: as `transfer.fine_tune_seeds` takes them. The
    network is read in evaluation mode, as `features` are. Raises what `fine_tune_seeds` raises.
    """
    # Queries are the only test images: nothing else is evaluated, and that once.
    images, labels = dataset.test_images[query_ids], dataset.test_labels[query_ids]
    asked = replace(dataset, test_images=images, test_labels=labels)
    protocol = {**protocol, "evaluated_epochs": [protocol["epochs"]]}
    losses = np.empty((len(seeds), len(subsets), len(query_ids)))
    for column, subset in enumerate(subsets):
        chosen = dict.fromkeys(seeds, image_ids[torch.from_numpy(subset)])
        runs = fine_tune_seeds(source, asked, chosen, blocks, protocol, device)
        for row, (_, model, _) in enumerate(runs):
            _, logits = read_out(model, images, protocol["resolution"], device)
            losses[row, column] = functional.cross_entropy(logits, labels, reduction="none").numpy()
    return losses
