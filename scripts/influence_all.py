"""Compute the influence of a network's training images through all of its fine-tuned weights (EK-FAC)."""

import argparse

import torch

from advtransfer.artefacts import PROVENANCE, content_hash, load_tensors, made_of, save_tensors
from advtransfer.command_line import command_line
from advtransfer.datasets import load_dataset
from advtransfer.devices import pick_device
from advtransfer.influence_all import all_parameter_influence
from advtransfer.models import load_source


def main() -> None:
    """Parse, load, compute, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="fine-tuned network")
    parser.add_argument("--features", required=True, help="artefact of features.py: which images")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--queries", type=int, required=True, help="how many training images, and how many test images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="influence_{train,test}, labels and image ids, safetensors")
    arguments = parser.parse_args()
    device = pick_device(arguments.threads)
    dataset, metadata = load_dataset(arguments.target_file), load_tensors(arguments.model, [], own=True)[1]
    ids, _ = load_tensors(arguments.features, ["train_image_ids", "test_image_ids"], own=True)
    train_ids, test_ids = ids["train_image_ids"], spread(ids["test_image_ids"], arguments.queries)
    query_ids = spread(train_ids, arguments.queries)
    train = dataset.train_images[train_ids], dataset.train_labels[train_ids]
    own = dataset.train_images[query_ids], dataset.train_labels[query_ids]
    test = dataset.test_images[test_ids], dataset.test_labels[test_ids]
    influence = all_parameter_influence(
        load_source(arguments.model),
        metadata["blocks"],
        train,
        tuple(torch.cat(pair) for pair in zip(own, test, strict=True)),
        metadata["resolution"],
        device,
    )
    provenance = made_of(
        {"queries": arguments.queries},
        arguments.code,
        {
            "model": content_hash(arguments.model),
            "features": content_hash(arguments.features),
            "target": content_hash(arguments.target_file),
        },
    )
    save_tensors(
        arguments.output,
        {
            "influence_train": influence[: len(query_ids)],
            "influence_test": influence[len(query_ids) :],
            "train_labels": train[1],
            "train_image_ids": train_ids,
            "train_query_image_ids": query_ids,
            "test_labels": test[1],
            "test_image_ids": test_ids,
        },
        {"class_names": dataset.class_names, PROVENANCE: provenance},
    )


def spread(image_ids: torch.Tensor, most: int) -> torch.Tensor:
    """At most so many of the ids, evenly spread: they may be sorted, and data sets often are by class."""
    return image_ids[torch.linspace(0, len(image_ids) - 1, min(most, len(image_ids))).round().long()]


if __name__ == "__main__":
    with command_line():
        main()
