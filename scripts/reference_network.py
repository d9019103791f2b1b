"""Train one network from scratch on images of a target, in the architecture of a source."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from advtransfer.artefacts import PROVENANCE, content_hash, load_tensors, made_of, save_tensors
from advtransfer.command_line import command_line
from advtransfer.datasets import load_dataset, load_subsets
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.robustness import measure_accuracy
from advtransfer.sources import remove_checkpoint, train_source

# What the network has from the source, unless its recipe says otherwise.
ARCHITECTURE = ("layers", "width", "stem", "resolution")


def main() -> None:
    """Parse, train (from a checkpoint if there is one), measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the recipe and the seed, as JSON")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", required=True, help="source artefact whose architecture the network has")
    parser.add_argument("--target-file", required=True, help="target artefact to train on")
    parser.add_argument("--subset-file", required=True, help="parquet file with columns seed, image_id")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="network to write (.safetensors)")
    arguments = parser.parse_args()
    settings, seed = arguments.settings, arguments.settings["seed"]
    device = pick_device(arguments.threads, settings.get("precision"))
    dataset = load_dataset(arguments.target_file)
    image_ids = load_subsets(arguments.subset_file, [seed])[seed]
    dataset = replace(
        dataset, train_images=dataset.train_images[image_ids], train_labels=dataset.train_labels[image_ids]
    )
    like = load_tensors(arguments.source, [])[1]
    training = {"threat": None, "attack_steps": 0, **{key: like[key] for key in ARCHITECTURE}, **settings}
    # No declared output of the rule: Snakemake removes those of a job that failed.
    checkpoint = Path(arguments.output).with_suffix(".checkpoint.safetensors")
    provenance = {"code": arguments.code, "data_sha256": dataset.fingerprint()}
    try:
        model, metadata, epochs = train_source(dataset, training, device, checkpoint, provenance)
    except FloatingPointError as error:
        raise InputError(f"{arguments.output}: {error}. Lower peak_learning_rate in 'reference_networks'.") from None
    test = (dataset.test_images.to(device), dataset.test_labels.to(device))
    facts = {
        **{"class_names": dataset.class_names, "images": len(image_ids), "seed": seed},
        "train_accuracy": epochs[-1]["train_accuracy"],
        "test_accuracy": measure_accuracy(model, *test, training["resolution"]),
    }
    tensors = {name: tensor.to("cpu") for name, tensor in model.network.state_dict().items()}
    inputs = {"target": content_hash(arguments.target_file), "subset": content_hash(arguments.subset_file)}
    inputs["source"] = content_hash(arguments.source)
    made = made_of({**settings, "images": arguments.images}, arguments.code, inputs)
    save_tensors(arguments.output, tensors, {**metadata, **facts, PROVENANCE: made})
    remove_checkpoint(checkpoint)


if __name__ == "__main__":
    with command_line():
        main()
