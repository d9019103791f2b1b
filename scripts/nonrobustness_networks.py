"""Fine-tune one source on one target, once for each seed, and keep the networks in one file."""

import argparse
import json
from pkgutil import resolve_name

from advtransfer.artefacts import PROVENANCE, content_hash, made_of
from advtransfer.command_line import command_line
from advtransfer.datasets import load_dataset, load_subsets
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.models import source_resolution
from advtransfer.studies.nonrobustness_networks import save_networks, tensors_of
from advtransfer.transfer import OneNetwork, fine_tune_seeds


def main() -> None:
    """Parse, load, fine-tune, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=json.loads, required=True, help="cell, seeds and protocol at this size, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source-file", required=True, help="source artefact")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--subset-file", required=True, help="parquet file with columns seed, image_id")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="networks to write (.safetensors)")
    arguments = parser.parse_args()
    job = arguments.job
    device = pick_device(arguments.threads, job["settings"].get("precision"))
    settings = {**job["settings"], "resolution": source_resolution(arguments.source_file)}
    dataset, subsets = load_dataset(arguments.target_file), load_subsets(arguments.subset_file, job["seeds"])
    learner = OneNetwork
    if "mitigation" in settings:
        # By name: its code lies under networks that are trained with it only (`config.mitigation.transfer_code`).
        learner = resolve_name("advtransfer.mitigation:learner_of")(settings)
    tensors = {}
    try:
        for seed, model, _ in fine_tune_seeds(
            arguments.source_file, dataset, subsets, job["blocks"], settings, device, learner
        ):
            tensors |= tensors_of(seed, model)
    except FloatingPointError as error:
        raise InputError(
            f"{arguments.output}: {error}. Lower the learning rate of protocol '{job['protocol']}', or the beta of its mitigation."
        ) from None
    inputs = {name: content_hash(getattr(arguments, f"{name}_file")) for name in ("source", "target", "subset")}
    facts = {name: job[name] for name in ("protocol", "source", "target", "blocks", "images", "seeds")}
    facts |= {"class_names": dataset.class_names, PROVENANCE: made_of(job, arguments.code, inputs)}
    save_networks(arguments.output, tensors, len(dataset.class_names), arguments.source_file, facts)


if __name__ == "__main__":
    with command_line():
        main()
