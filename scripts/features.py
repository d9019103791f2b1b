"""Read features and logits of a fine-tuned network's training images, and of test images, out of it."""

import argparse

from advtransfer.artefacts import PROVENANCE, content_hash, load_tensors, made_of, save_tensors
from advtransfer.command_line import command_line
from advtransfer.datasets import draw_test_images, load_dataset, load_subsets
from advtransfer.devices import pick_device
from advtransfer.features import read_out
from advtransfer.models import load_source


def main() -> None:
    """Parse, load, pass, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="fine-tuned network, artefact of transfer.py --model")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--subset-file", required=True, help="parquet file with columns seed, image_id")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--test-images", type=int, required=True, help="how many test images, drawn at random")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="{train,test}_{features,logits,labels,image_ids}, safetensors")
    arguments = parser.parse_args()
    device = pick_device(arguments.threads)
    dataset = load_dataset(arguments.target_file)
    chosen = {
        "train": load_subsets(arguments.subset_file, [arguments.seed])[arguments.seed],
        "test": draw_test_images(dataset, arguments.test_images, seed=0),
    }
    model, resolution = load_source(arguments.model), load_tensors(arguments.model, [])[1]["resolution"]
    tensors = {}
    for part, image_ids in chosen.items():
        images, labels = getattr(dataset, f"{part}_images"), getattr(dataset, f"{part}_labels")
        features, logits = read_out(model, images[image_ids], resolution, device)
        tensors |= {f"{part}_features": features, f"{part}_logits": logits}
        tensors |= {f"{part}_labels": labels[image_ids], f"{part}_image_ids": image_ids}
    provenance = made_of(
        {"seed": arguments.seed, "test_images": arguments.test_images},
        arguments.code,
        {
            "model": content_hash(arguments.model),
            "target": content_hash(arguments.target_file),
            "subset": content_hash(arguments.subset_file),
        },
    )
    save_tensors(arguments.output, tensors, {"class_names": dataset.class_names, PROVENANCE: provenance})


if __name__ == "__main__":
    with command_line():
        main()
