"""The study of the target's own resolution: which targets are shrunk to how many pixels. No torch here.

An experiment's `resolution` block (pixels, and if wanted targets and images) makes a target of its own out of each of its targets and each
number of pixels below the target's own: the same images, shrunk by area. Nothing else differs, seeds and subsets included.
"""

from collections.abc import Mapping
from typing import Any

from advtransfer.errors import InputError
from advtransfer.targets.listing import image_shape


def shrunk_targets(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{name: entry} of the targets that the chosen experiment's `resolution` adds to the configuration's.

    Raises InputError where another target has such a name.
    """
    added = {}
    for target, places in _places(config).items():
        for pixels, name in places:
            if name == target:
                continue
            entry = {**config["targets"][target], "shrink_to": pixels}
            if config["targets"].get(name, entry) != entry:
                raise InputError(
                    f"config: targets.{name}: this is the name of '{target}' shrunk to {pixels} pixels (experiments."
                    f"{config['experiment']}.resolution). Give the target another name."
                )
            added[name] = entry
    return added


def resolve_resolution(config: Mapping[str, Any], images: list[int]) -> dict[str, Any] | None:
    """The chosen experiment's study, JSON-compatible; None where it has no `resolution`.

        targets     {target: [[pixels, target of that resolution], ...]}, its own resolution first, then falling
        images      [int], ascending

    pixels: of the shorter side. images: the sizes that are common to all targets of the experiment; the default.
    """
    places = _places(config)
    if not places:
        return None
    chosen = config["experiments"][config["experiment"]]["resolution"]
    return {"targets": places, "images": sorted(chosen.get("images", images))}


def _places(config: Mapping[str, Any]) -> dict[str, list[list[Any]]]:
    experiment = config["experiments"][config["experiment"]]
    chosen = experiment.get("resolution")
    if chosen is None or experiment.get("rows") == "published":
        return {}
    places = {}
    for target in chosen.get("targets", experiment["targets"]):
        own = min(image_shape(config["targets"][target], f"config: target '{target}'")[1:])
        below = sorted((pixels for pixels in chosen["pixels"] if pixels < own), reverse=True)
        places[target] = [[own, target], *([pixels, f"{target}_{pixels}px"] for pixels in below)]
    return places
