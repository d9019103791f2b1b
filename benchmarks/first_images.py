"""Write the first images of a data set as an image folder, such as what docs/influence.md and docs/resolution.md measured on.

    uv run snakemake results/targets/mnist.safetensors
    uv run python benchmarks/first_images.py results/targets/mnist.safetensors data/mnist --train 8000 --test 2000

FOLDER/{train,test}/CLASS/NUMBER.png, the number that of the image in the data set; nothing that is there is overwritten.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from PIL import Image

from advtransfer.datasets import load_dataset


def main() -> None:
    """Parse, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="target artefact")
    parser.add_argument("folder", type=Path, help="to be made")
    parser.add_argument("--train", type=int, required=True, help="how many training images")
    parser.add_argument("--test", type=int, required=True, help="how many test images")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} is there already. Remove it, or name another folder.")
    dataset = load_dataset(arguments.target)
    for part, count in (("train", arguments.train), ("test", arguments.test)):
        images, labels = (getattr(dataset, f"{part}_{what}")[:count].numpy() for what in ("images", "labels"))
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = arguments.folder / part / dataset.class_names[label].replace("/", "-")
            folder.mkdir(parents=True, exist_ok=True)
            # Grey images have one channel, which PIL wants without an axis.
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
                folder / f"{number:05d}.png"
            )


if __name__ == "__main__":
    main()
