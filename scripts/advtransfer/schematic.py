"""Which parts of a network each fine-tuning setting trains (paper, Fig. 9), read off the network itself."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import torch
from torch import nn

from advtransfer.models import build, unfreeze_last


def trained_parts(architecture: Mapping[str, Any], classes: int, settings: Iterable[int]) -> pd.DataFrame:
    """A line for each part of the network, in the order in which an image passes them, at each number of trained blocks.

    architecture: a source artefact's metadata. classes: of the target. settings: numbers of blocks trained besides the head.
    Columns blocks, part ("conv1", "layer1.0", ..., "fc"), stage (0 for what comes before the first, -1 for the head),
    parameters, trained (how many of them).
    """
    lines = []
    for blocks in settings:
        with torch.device("meta"):
            network = build(architecture).network
            network.fc = nn.Linear(network.fc.in_features, classes)
        unfreeze_last(network, blocks)
        names = {module: name for name, module in network.named_modules()}
        stem = [*network.conv1.parameters(), *network.bn1.parameters()]
        parts = [("conv1", 0, stem)]
        for block in network.blocks():
            stage = int(names[block].removeprefix("layer").split(".")[0])
            parts.append((names[block], stage, list(block.parameters())))
        parts.append(("fc", -1, list(network.fc.parameters())))
        for part, stage, parameters in parts:
            trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
            count = sum(parameter.numel() for parameter in parameters)
            lines.append({"blocks": blocks, "part": part, "stage": stage, "parameters": count, "trained": trained})
    return pd.DataFrame(lines)
