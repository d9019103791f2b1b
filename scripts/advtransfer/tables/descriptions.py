"""Tables 1 to 4: hyper-parameters, training by size, sources, targets; out of the configuration and the artefacts.

`settings` is what `config.resolve.describe` says of the configuration for the table in question.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open

from advtransfer.artefacts import load_tensors
from advtransfer.tables.robustness import read_robustness

# What the keys of a protocol are called in the paper.
HYPER_PARAMETERS = {
    "learning_rate": "learning rate",
    "momentum": "momentum",
    "weight_decay": "weight decay",
    "batch_size": "batch size",
    "batch_norm": "batch norm of frozen layers",
    "head_init": "initialisation of the new head",
    "augmentation": "augmentation",
    "views": "augmented views of each image",
    "mitigation": "discrepancy mitigation",
}


def table1(settings: Mapping[str, Any], files: Iterable[str | Path]) -> pd.DataFrame:
    """The hyper-parameters of the experiment's protocol (paper, Table 1). Columns hyper_parameter, value."""
    protocol = settings["hyper_parameters"]
    values = {
        "protocol": settings["protocol"],
        "optimiser": "SGD",
        "learning-rate drops": "tenfold after every third of the epochs",
        **{
            HYPER_PARAMETERS.get(key, key.replace("_", " ")): _in_words(protocol[key])
            for key in protocol
            if key != "epochs"
        },
        "blocks fine-tuned besides the head": ", ".join(map(str, settings["blocks"])),
    }
    return pd.DataFrame([{"hyper_parameter": key, "value": value} for key, value in values.items()])


def _in_words(value: Any) -> Any:
    return ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else value


def table2(settings: Iterable[Mapping[str, Any]], files: Iterable[str | Path]) -> pd.DataFrame:
    """How each number of images is trained (paper, Table 2).

    Columns images, targets, epochs, evaluated_after (epochs), seeds ("3 20" where cells differ), models (over all sources, targets and
    block counts).
    """
    return pd.DataFrame(
        [
            {
                "images": size["images"],
                "targets": " ".join(size["targets"]),
                "epochs": size["epochs"],
                "evaluated_after": " ".join(map(str, size["evaluated_epochs"])),
                "seeds": size["seeds"][0] if len(size["seeds"]) == 1 else " ".join(map(str, size["seeds"])),
                "models": size["models"],
            }
            for size in settings
        ]
    )


def table3(settings: Iterable[Mapping[str, Any]], files: Iterable[str | Path]) -> pd.DataFrame:
    """The sources with their published clean accuracy beside the measured one (paper, Table 3).

    Columns source, label, family, norm, epsilon, published_accuracy_percent, clean_accuracy_percent (on `images` test
    images), robust_accuracy_percent (under `attack` at the source's own epsilon, on `attacked_images`), origin (measured
    here, or in the source's training record). What is unknown is empty. files: rows of the sources' robustness.
    """
    rows = read_robustness(files)
    lines = []
    for entry in settings:
        threat = entry["threat"] or {"norm": "", "epsilon": 0.0}
        mine = rows[rows["source"] == entry["source"]]
        clean = mine[mine["norm"] == ""]
        attacked = mine[(mine["norm"] == threat["norm"]) & np.isclose(mine["epsilon"], threat["epsilon"], rtol=1e-9)]
        attacked = attacked[attacked["norm"] != ""]
        lines.append(
            {
                "source": entry["source"],
                "label": entry["label"],
                "family": entry["family"],
                **threat,
                "published_accuracy_percent": entry["published_accuracy_percent"],
                "clean_accuracy_percent": _percent(clean["accuracy"].iloc[0]) if len(clean) else None,
                "images": clean["images"].iloc[0] if len(clean) else None,
                "robust_accuracy_percent": _percent(attacked["accuracy"].iloc[0]) if len(attacked) else None,
                "attacked_images": attacked["images"].iloc[0] if len(attacked) else None,
                "attack": attacked["attack"].iloc[0] if len(attacked) else None,
                "origin": clean["origin"].iloc[0] if len(clean) else None,
            }
        )
    return pd.DataFrame(lines).astype({"images": "Int64", "attacked_images": "Int64"})


def table4(settings: Iterable[Mapping[str, Any]], files: Iterable[str | Path]) -> pd.DataFrame:
    """The targets, counted in their artefacts (paper, Table 4).

    Columns target, label, training_images, test_images, classes, channels, height, width (pixels). files: the artefacts,
    in the order of the targets.
    """
    lines = []
    for entry, file in zip(settings, files, strict=True):
        metadata = load_tensors(file, [])[1]
        with safe_open(file, framework="np") as tensors:  # shapes only: no image is read
            training, channels, height, width = tensors.get_slice("train_images").get_shape()
            test = tensors.get_slice("test_images").get_shape()[0]
        lines.append(
            {
                "target": entry["target"],
                "label": entry["label"],
                "training_images": training,
                "test_images": test,
                "classes": len(metadata["class_names"]),
                "channels": channels,
                "height": height,
                "width": width,
            }
        )
    return pd.DataFrame(lines)


def _percent(fraction: float) -> float:
    # A count of images over their number: more digits than these are rounding errors.
    return round(100 * float(fraction), 8)
