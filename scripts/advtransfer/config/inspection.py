"""What figures 1 and 6 to 9 look at: which fine-tuned networks, images and units, worked out of the configuration. No torch here.

The resolved form is a JSON-compatible dict:

    influence       target, images, blocks, seed, sources {"natural": ..., "robust": ...}, test_images (int),
                    pinv_rcond, damping, self_influence ("excluded" or "included"), all_weights_queries (of each of the two sets)
    visualisation   target, images, blocks, seed, sources, units [int, ...], steps, step_size (L2, at 224x224 pixels)
"""

from collections.abc import Mapping
from typing import Any

from advtransfer.errors import InputError

ROLES = ("natural", "robust")
# The paper's: CIFAR-10, 3,200 images, 3 blocks (section 6); figure 1's networks are trained in their head only.
PREFERRED_TARGET, PREFERRED_IMAGES = "cifar10", 3200


def resolve_inspection(
    config: Mapping[str, Any], experiment: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]]
) -> dict[str, Any] | None:
    """The resolved form (see the module) for an experiment, itself resolved; None where it has nothing to look into.

    counts: as `resolve.resolve_experiment` takes them. An experiment can be looked into if it trains networks and has a natural
    and a robust source. Raises InputError where a choice does not fit.
    """
    if experiment["rows"] is not None or not set(ROLES) <= set(experiment["sources"]):
        return None
    chosen = config["experiments"][experiment["name"]]
    resolved = {}
    for part in ("influence", "visualisation"):
        own, key = chosen.get(part, {}), f"config: experiments.{experiment['name']}.{part}"
        target = own.get("target", PREFERRED_TARGET if PREFERRED_TARGET in experiment["targets"] else None)
        target = target or experiment["targets"][0]
        if target not in experiment["targets"]:
            raise InputError(f"{key}.target: found '{target}'. Choose one of: {', '.join(experiment['targets'])}.")
        sizes = [images for images, _ in experiment["sizes"][target]]
        images = own.get("images", PREFERRED_IMAGES if PREFERRED_IMAGES in sizes else sizes[-1])
        if images not in sizes:
            raise InputError(f"{key}.images: found {images}. Choose one of: {', '.join(map(str, sizes))}.")
        resolved[part] = {
            "target": target,
            "images": images,
            "blocks": own.get("blocks", 3 if part == "influence" else 0),
            "seed": config["seeds"][0],
            "sources": {role: experiment["sources"][role] for role in ROLES},
        }
    influence = config["influence"]
    tests = counts[resolved["influence"]["target"]]["test"]
    own = chosen.get("influence", {})
    limit = own.get("test_images", "all")
    resolved["influence"] |= {
        "test_images": tests if limit == "all" else min(limit, tests),
        **{key: influence[key] for key in ("pinv_rcond", "damping", "self_influence")},
        "all_weights_queries": own.get("all_weights_queries", influence["all_weights_queries"]),
    }
    resolved["visualisation"] |= {
        "units": chosen.get("visualisation", {}).get("units", config["visualisation"]["units"]),
        **{key: config["visualisation"][key] for key in ("steps", "step_size")},
    }
    return resolved


def model_file(protocol: str, part: Mapping[str, Any], role: str, folder: str = "results/models") -> str:
    """Where the fine-tuned network of a role lies, or in another folder what is computed from it."""
    return (
        f"{folder}/{protocol}/{part['sources'][role]}/{part['target']}"
        f"/blocks{part['blocks']}_n{part['images']}_seed{part['seed']}.safetensors"
    )
