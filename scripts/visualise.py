"""Visualise penultimate units of the natural and of the robust network: images that drive them up, from several starts."""

import argparse
import json
import logging

import numpy as np

from advtransfer.artefacts import PROVENANCE, content_hash, load_tensors, made_of, save_arrays
from advtransfer.command_line import command_line
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.models import load_source
from advtransfer.randomness import generator_for
from advtransfer.visualisation import starting_images, visualise

logger = logging.getLogger(__name__)

# Side of the images that the paper's step size belongs to.
PAPER_SIDE = 224
ROLES = ("natural", "robust")


def main() -> None:
    """Parse, climb for each network, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--natural", required=True, help="fine-tuned network")
    parser.add_argument("--robust", required=True, help="fine-tuned network")
    parser.add_argument("--settings", type=json.loads, required=True, help="units, steps, step_size as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="starts, {role} images and activations, safetensors")
    arguments = parser.parse_args()
    device, settings = pick_device(arguments.threads), arguments.settings
    arrays = {}
    for role in ROLES:
        path = getattr(arguments, role)
        model, resolution = load_source(path).to(device), load_tensors(path, [])[1]["resolution"]
        features = model.network.fc.in_features
        if max(settings["units"]) >= features:
            raise InputError(
                f"config: visualisation.units: found {max(settings['units'])}, but {path} has {features} penultimate units. "
                f"Give numbers from 0 to {features - 1}."
            )
        starts, names = starting_images(resolution, generator_for(0, "visualisation"))
        # Proportional to the side: a vector of all pixels, each changed by as much, is that much longer.
        step_size = settings["step_size"] * resolution / PAPER_SIDE
        logger.info("%s network, units %s:", role, settings["units"])
        images, activations = visualise(model, starts, settings["units"], settings["steps"], step_size)
        arrays |= {f"{role}_images": images.numpy(), f"{role}_activations": activations.numpy()}
        arrays["starts"] = starts.numpy()
    inputs = {role: content_hash(getattr(arguments, role)) for role in ROLES}
    facts = {"starts": names, PROVENANCE: made_of(settings, arguments.code, inputs)}
    save_arrays(arguments.output, {name: array.astype(np.float32) for name, array in arrays.items()}, facts)


if __name__ == "__main__":
    with command_line():
        main()
