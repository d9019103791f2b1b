"""What figures 1 and 6 to 9 and influence_cut look at: which fine-tuned networks, images and units, worked out of the configuration. No torch here.

The resolved form is a JSON-compatible dict:

    influence       target, images, blocks, seeds [int, ...], seed (the first), sources {"natural": ..., "robust": ...}, test_images (int),
                    head ("fine_tuned" or "refitted"), ridge, pinv_rcond, damping, self_influence ("excluded" or "included"),
                    all_weights_queries (of each of the two sets)
    influence_cut   as influence, without the last two; halves, cuts [float, ...], dampings [float, ...], hessian_rows (int, at most)
    visualisation   target, images, blocks, seed, sources, units [int, ...], steps, step_size (L2, at 224x224 pixels)
"""

from collections.abc import Mapping
from typing import Any

from advtransfer.errors import InputError

ROLES = ("natural", "robust")
# The paper's: CIFAR-10, 3,200 images, 3 blocks (section 6); figure 1's networks are trained in their head only.
PREFERRED_TARGET, PREFERRED_IMAGES = "cifar10", 3200
# Features of a bottleneck ResNet of the usual width; rows that `spectrum.LARGEST_HESSIAN` allows (a test compares).
MOST_FEATURES, LARGEST_HESSIAN = 2048, 20_000
# What an experiment may set for itself, of the section `influence`.
OWN = ("head", "ridge", "pinv_rcond", "damping", "seeds", "all_weights_queries")


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
    facts = counts[resolved["influence"]["target"]]
    tests = facts["test"]
    own = chosen.get("influence", {})
    limit = own.get("test_images", "all")
    influence = {**config["influence"], **{key: own[key] for key in OWN if key in own}}
    if influence["seeds"] > len(config["seeds"]):
        raise InputError(
            f"config: experiments.{experiment['name']}.influence.seeds: found {influence['seeds']}, but 'seeds' lists {len(config['seeds'])}. "
            "Lower it or list more seeds."
        )
    shared = {
        "seeds": config["seeds"][: influence["seeds"]],
        "test_images": tests if limit == "all" else min(limit, tests),
        **{key: influence[key] for key in ("head", "ridge", "pinv_rcond", "damping")},
    }
    resolved["influence_cut"] = {
        **resolved["influence"],
        **shared,
        "halves": config["influence"]["halves"],
        **{key: sorted(config["influence"][key], reverse=key == "cuts") for key in ("cuts", "dampings")},
        "hessian_rows": (facts["classes"] - 1) * min(resolved["influence"]["images"], MOST_FEATURES + 1),
    }
    resolved["influence"] |= {**shared, **{key: influence[key] for key in ("self_influence", "all_weights_queries")}}
    resolved["visualisation"] |= {
        "units": chosen.get("visualisation", {}).get("units", config["visualisation"]["units"]),
        **{key: config["visualisation"][key] for key in ("steps", "step_size")},
    }
    return resolved


def seeds_of(part: Mapping[str, Any]) -> list[int]:
    """The seeds of the networks that a part looks into: one, or several."""
    return part.get("seeds", [part["seed"]])


def model_file(
    protocol: str,
    part: Mapping[str, Any],
    role: str,
    folder: str = "results/models",
    seed: int | None = None,
    ending: str = "safetensors",
) -> str:
    """Where the fine-tuned network of a role lies, or in another folder what is computed from it. seed: the part's by default."""
    return (
        f"{folder}/{protocol}/{part['sources'][role]}/{part['target']}"
        f"/blocks{part['blocks']}_n{part['images']}_seed{part['seed'] if seed is None else seed}.{ending}"
    )


def influence_settings(part: Mapping[str, Any]) -> dict[str, Any]:
    """What a job is told that computes influence through the head: no more than it uses, so that nothing else runs it again.

    Of the head as fine-tuned its inverse is told by pinv_rcond or, where that is positive, by damping; the refitted head's Hessian has its
    ridge, and a damping beyond that.
    """
    used = ("ridge", "damping") if part["head"] == "refitted" else ("pinv_rcond", "damping")
    return {"head": part["head"], **{key: part[key] for key in used}}


def row_settings(part: Mapping[str, Any], source: str, seed: int) -> dict[str, Any]:
    """What the job is told that measures every inverse on one network, JSON-compatible; `part` is the part influence_cut."""
    identity = {"source": source, "seed": seed, **{key: part[key] for key in ("target", "blocks", "images")}}
    return {**identity, **{key: part[key] for key in ("ridge", "halves", "cuts", "dampings")}}
