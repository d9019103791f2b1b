"""Compute the influence of a network's training images on themselves and on test images, through its head."""

import argparse
import json

import torch

from advtransfer.artefacts import PROVENANCE, content_hash, load_tensors, made_of, save_tensors
from advtransfer.command_line import command_line
from advtransfer.datamodels import refit
from advtransfer.devices import pick_device
from advtransfer.influence import head_influence


def main() -> None:
    """Parse, load, compute, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", required=True, help="artefact of features.py")
    parser.add_argument("--settings", type=json.loads, required=True, help="head, its inverse, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="influence_{train,test}, labels and image ids, safetensors")
    arguments = parser.parse_args()
    device = pick_device(arguments.threads)
    read, metadata = load_tensors(arguments.features, own=True)
    names = ("features", "logits", "labels")
    # One call for both kinds of queries: the Hessian is the training images' alone.
    queries = [torch.cat([read[f"train_{name}"], read[f"test_{name}"]]).numpy() for name in names]
    train = [read[f"train_{name}"].numpy() for name in names]
    inverse = dict(arguments.settings)
    if inverse.pop("head") == "refitted":
        ridge = inverse.pop("ridge")
        train[1], queries[1] = refit(train[0], train[2], queries[0], train[1].shape[1], ridge)
        inverse["damping"] += ridge
    influence = torch.from_numpy(head_influence(*train, *queries, **inverse, device=device))
    images = {name: read[name] for name in read if name.endswith(("labels", "image_ids"))}
    provenance = made_of(arguments.settings, arguments.code, {"features": content_hash(arguments.features)})
    count = len(read["train_labels"])
    save_tensors(
        arguments.output,
        {"influence_train": influence[:count], "influence_test": influence[count:], **images},
        {"class_names": metadata["class_names"], **arguments.settings, PROVENANCE: provenance},
    )


if __name__ == "__main__":
    with command_line():
        main()
