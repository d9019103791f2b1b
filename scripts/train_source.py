"""Train one source network and write it with its training record."""

import argparse
import json
import logging
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from advtransfer.artefacts import PROVENANCE, content_hash, made_of, save_json, save_tensors
from advtransfer.command_line import command_line
from advtransfer.datasets import draw_test_images, load_dataset
from advtransfer.devices import pick_device
from advtransfer.robustness import measure_accuracy
from advtransfer.sources import remove_checkpoint, train_source
from advtransfer.threats import threat_from

logger = logging.getLogger(__name__)


def main() -> None:
    """Parse, train (from a checkpoint if there is one), round the weights to their stored precision, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the source's entry, resolved, as JSON")
    parser.add_argument("--code", required=True, help="hash of the code that trains")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dataset", required=True, help="target artefact to train on")
    parser.add_argument("--source", required=True, help="source artefact to write")
    parser.add_argument("--record", required=True, help="training record to write")
    arguments = parser.parse_args()
    settings = arguments.settings
    device = pick_device(arguments.threads, settings.get("precision"))
    dataset = load_dataset(arguments.dataset)

    provenance = {
        "code": arguments.code,
        "data_sha256": dataset.fingerprint(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "kornia")}},
    }
    # No declared output of the rule: Snakemake removes those of a job that failed.
    checkpoint = Path(arguments.source).with_suffix(".checkpoint.safetensors")
    model, metadata, epochs = train_source(dataset, settings, device, checkpoint, provenance)
    dtype = getattr(torch, settings["stored_dtype"])
    tensors = {
        name: tensor.to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in model.network.state_dict().items()
    }
    model.network.load_state_dict(tensors)

    evaluation = settings["evaluation"]
    images, labels = dataset.test_images.to(device), dataset.test_labels.to(device)
    attacked = draw_test_images(dataset, evaluation["attacked_images"], settings["seed"]).to(device)
    measured = {"test_accuracy": measure_accuracy(model, images, labels, settings["resolution"]), "robust_accuracy": []}
    for threat in evaluation["threats"]:
        accuracy = measure_accuracy(
            model,
            images[attacked],
            labels[attacked],
            settings["resolution"],
            threat_from(**threat),
            steps=evaluation["attack_steps"],
            seed=settings["seed"],
        )
        measured["robust_accuracy"].append({**threat, "accuracy": accuracy})
        logger.info("PGD-%d %s: accuracy %.4f", evaluation["attack_steps"], threat, accuracy)
    record = {
        "settings": settings,
        "measured": {
            **measured,
            "test_images": len(labels),
            "attacked_images": len(labels[attacked]),
            "attack": f"PGD-{evaluation['attack_steps']}, random start, step 2.5 epsilon / steps, worst iterate",
        },
        "epochs": epochs,
        **provenance,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {arguments.threads} thread(s)",
    }
    save_json(arguments.record, record)
    origin = {"kind": "train", "settings": settings, "measured": record["measured"], **provenance}
    made = made_of(settings, arguments.code, {"dataset": content_hash(arguments.dataset)})
    save_tensors(arguments.source, tensors, {**metadata, "origin": origin, PROVENANCE: made})
    remove_checkpoint(checkpoint)


if __name__ == "__main__":
    with command_line():
        main()
