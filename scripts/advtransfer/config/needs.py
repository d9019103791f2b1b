"""What jobs that compute on a GPU ask a cluster for: memory and time, by what they have to do. No torch here.

Time is counted in forward passes of an image through ResNet-50 at 224x224 pixels, which `estimate` measures, and a training or attack
step as three of them: forward, and backward through activations and weights. Where `snakemake estimate` has measured nothing, the rate is
assumed. What is asked for is a limit, at which a job is killed, so it is generous, and grows with every attempt.
"""

import functools
import json
import math
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from advtransfer.config import inputs, nonrobustness, resolve, robustness_bound, transferability
from advtransfer.config.inspection import MOST_FEATURES
from advtransfer.targets.listing import image_shape

# Written by `snakemake estimate`: {"forward_seconds": of an image at 224x224 pixels}.
MEASURED = Path("results/estimate.json")
# ASSUME a GPU of 2017 or later: forward passes a second of ResNet-50 at 224x224 pixels in float32.
FORWARD_PER_SECOND = 1000
# Of a job that does next to nothing: Python, torch and a GPU's libraries, a file system that is slow to answer.
LEAST_MINUTES, BASE_MB = 30, 6000
# Nodes differ, and jobs that share one slow each other down.
GENEROSITY = 2
STEP = 3
# Forward passes that AutoAttack takes for an image that withstands it, about: 5,000 of Square, and steps of three other attacks.
AUTOATTACK = 6000
# Bytes of the largest activation that is cached, of an image at 224x224 pixels, before the ninth block from the end of ResNet-50; and
# what of it stays in memory (`activations.CACHE_BYTES`).
ACTIVATION_BYTES, CACHE_BYTES = 512 * 28 * 28 * 4, 4 * 2**30
# Influence with every eigenvalue of so many Hessian rows took so many seconds on two CPU cores and so many MB (docs/performance.md).
HESSIAN = {"rows": 18_441, "seconds": 582, "mb": 11_600}
# The weights of the last three blocks of ResNet-50 and how many values of per-image gradients `influence_all` holds at once.
TRAINED_WEIGHTS, GRADIENT_VALUES = 15_000_000, 2**27


class Needs:
    """Memory and time of the jobs of an experiment.

    config: the whole configuration. experiment, inspection, counts: of the chosen experiment, see `start.Chosen`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        experiment: dict[str, Any],
        inspection: Mapping[str, Any] | None,
        counts: Mapping[str, Mapping[str, int]],
    ):
        self.config, self.experiment, self.inspection, self.counts = config, experiment, inspection, counts

    def minutes(self, rule: str, wildcards: Mapping[str, str], attempt: int = 1) -> int:
        """The time that a job of a rule asks for at its first, second, ... attempt."""
        seconds = self.passes(rule, wildcards) * self.forward_seconds(wildcards.get("source"))
        if rule in ("influence", "influence_cut_rows"):
            # The second decomposes once too, and then retrains heads.
            share = (self._hessian_rows(wildcards) / HESSIAN["rows"]) ** 3
            seconds += HESSIAN["seconds"] * share * (4 if rule == "influence_cut_rows" else 1)
        return attempt * (LEAST_MINUTES + math.ceil(GENEROSITY * seconds / 60))

    def memory_mb(self, rule: str, wildcards: Mapping[str, str], attempt: int = 1) -> int:
        """The memory of the machine, not of the GPU, that a job of a rule asks for, in MB of 10^6 bytes."""
        target = self._target(rule, wildcards)
        size = BASE_MB * 10**6
        if target:
            # Read whole, and once more as what is computed of them.
            channels, height, width = self._shape(target)
            facts = self._counts(target)
            size += 2 * (facts["train"] + facts["test"]) * channels * height * width
        if rule in ("transfer", "fine_tuned_model", "influence_all"):
            # Otherwise nothing is cached, but of a GPU that has no room.
            size += self._cache_bytes(target, wildcards)
        if rule in ("influence", "influence_cut_rows"):
            size += HESSIAN["mb"] * 10**6 * (self._hessian_rows(wildcards) / HESSIAN["rows"]) ** 2
        return attempt * math.ceil(size / 10**6)

    def forward_seconds(self, source: str | None) -> float:
        """Seconds of a forward pass of an image through a source's network, None: one at 224x224 pixels; measured or assumed."""
        return _measured() * (self._relative(source) if source in self.config["sources"] else 1)

    def passes(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """Images that pass the network forward in a job, a step of training or of an attack counted as three."""
        of_rule: Callable[..., float] | None = getattr(self, f"_{rule}", None)
        return 0 if of_rule is None else of_rule(wildcards)

    # ------------------------------------------------------------------------------------------------- by rule

    def _transfer(self, wildcards: Mapping[str, str]) -> float:
        seeds = int(wildcards["last"]) - int(wildcards["first"]) + 1
        sizes = _sizes(wildcards)
        return sum(self._training(wildcards["protocol"], wildcards["target"], images, seeds) for images in sizes)

    def _fine_tuned_model(self, wildcards: Mapping[str, str]) -> float:
        return self._training(wildcards["protocol"], wildcards["target"], int(wildcards["images"]), 1)

    def _nonrobustness_networks(self, wildcards: Mapping[str, str]) -> float:
        job = nonrobustness.trained_by(self.experiment, dict(wildcards))
        return self._training(job.protocol, job.target, job.images, len(job.seeds))

    def _training(self, protocol: str, target: str, images: int, seeds: int) -> float:
        settings = self._protocol(protocol, images)
        step = STEP * (1 + settings.get("mitigation", {}).get("steps", 0))
        tests = self._counts(target)["test"] * len(settings["evaluated_epochs"])
        return seeds * (images * settings["epochs"] * step + tests)

    def _train_source(self, wildcards: Mapping[str, str]) -> float:
        source = self.config["sources"][wildcards["source"]]
        facts = self._counts(source["dataset"])
        steps = 1 + (source["attack_steps"] if source["threat"] else 0)
        evaluation = source.get("evaluation", {"threats": [], "attack_steps": 0, "attacked_images": 0})
        attacked = len(evaluation["threats"]) * evaluation["attack_steps"] * evaluation["attacked_images"]
        return STEP * (facts["train"] * source["epochs"] * steps + attacked) + facts["test"]

    def _reference_network(self, wildcards: Mapping[str, str]) -> float:
        recipe = self.config["reference_networks"][wildcards["recipe"]]
        return STEP * int(wildcards["images"]) * recipe["epochs"] + self._counts(wildcards["target"])["test"]

    def _robustness(self, wildcards: Mapping[str, str]) -> float:
        settings = resolve.resolve_robustness(self.config, wildcards["source"])
        target = resolve.test_data_of(self.config, wildcards["source"])
        if target is None:
            return 0
        image = STEP * settings["steps"] * settings["restarts"] if settings["attack"] == "pgd" else AUTOATTACK
        return self._counts(target)["test"] + len(settings["threats"]) * settings["images"] * image

    def _robustness_bound_rows(self, wildcards: Mapping[str, str]) -> float:
        job = robustness_bound.attacked_by(self.experiment, dict(wildcards))
        settings = self.experiment["robustness_bound"]
        attack = settings["attack"]
        radii = max(len(radii) for _, radii in attack["epsilons"])
        # One attack on the loss, one on the representation.
        return len(job.seeds) * settings["test_images"] * radii * 2 * attack["steps"] * attack["restarts"] * STEP

    def _nonrobustness_rows(self, wildcards: Mapping[str, str]) -> float:
        job = nonrobustness.attacked_by(self.experiment, dict(wildcards))
        settings = nonrobustness.row_settings(self.experiment, job)
        attack = settings["attack"]
        image = len(attack["epsilons"]) * attack["steps"] * attack["restarts"] * STEP
        return len(job.seeds) * (settings["test_images"] * image + settings["autoattack_images"] * AUTOATTACK)

    def _nonrobustness_features(self, wildcards: Mapping[str, str]) -> float:
        job = nonrobustness.compared_by(self.experiment, dict(wildcards))
        settings = nonrobustness.feature_settings(self.experiment, job)
        measures = settings["measures"]
        crafted = len(measures["crafted"]) * measures["steps"] * STEP * job.images
        tests = (1 + len(measures["crafted"]) + measures["draws"]) * self._counts(job.target)["test"]
        return len(job.seeds) * (crafted + len(job.networks) * tests)

    def _transferability_rows(self, wildcards: Mapping[str, str]) -> float:
        job = transferability.compared_by(self.experiment, dict(wildcards))
        settings = self.experiment["transferability"][job.comparison]
        # Images of the source's and of the reference network's attack, each passed through both.
        images = len(job.seeds) * settings["test_images"]
        reference_images = settings["reference_sizes"][job.target]
        return images * 2 * (settings["attack"]["steps"] + 2) * STEP + len(job.seeds) * reference_images * STEP

    def _features(self, wildcards: Mapping[str, str]) -> float:
        return int(wildcards["images"]) + self._counts(wildcards["target"])["test"]

    def _influence_all(self, wildcards: Mapping[str, str]) -> float:
        part = inputs.inspected(self.experiment, self.inspection, "influence")
        # Factors and eigenvalues take two passes over the training images; scores one for each batch of queries' gradients.
        batches = math.ceil(2 * part["all_weights_queries"] * TRAINED_WEIGHTS / GRADIENT_VALUES)
        return STEP * int(wildcards["images"]) * (2 + batches)

    def _visualise(self, wildcards: Mapping[str, str]) -> float:
        part = inputs.inspected(self.experiment, self.inspection, "visualisation")
        # Two photographs and noise, in two networks.
        return STEP * part["steps"] * len(part["units"]) * 3 * 2

    # ------------------------------------------------------------------------------------------------ what they ask

    @functools.cache  # noqa: B019, one object lives as long as the process
    def _protocol(self, name: str, images: int) -> dict[str, Any]:
        return resolve.resolve_protocol(self.config, name, images)

    def _counts(self, target: str) -> Mapping[str, int]:
        return self.counts.get(target) or inputs.counts_of(self.config, target)

    @functools.cache  # noqa: B019
    def _shape(self, target: str) -> tuple[int, int, int]:
        return image_shape(self.config["targets"][target], f"config: target '{target}'")

    def _target(self, rule: str, wildcards: Mapping[str, str]) -> str | None:
        if rule == "train_source":
            return self.config["sources"][wildcards["source"]]["dataset"]
        if rule == "robustness":
            return resolve.test_data_of(self.config, wildcards["source"])
        return wildcards.get("target")

    def _hessian_rows(self, wildcards: Mapping[str, str]) -> int:
        features = min(int(wildcards["images"]), MOST_FEATURES + 1)
        return (self._counts(wildcards["target"])["classes"] - 1) * features

    def _cache_bytes(self, target: str, wildcards: Mapping[str, str]) -> float:
        views = self.config["protocols"][wildcards["protocol"]].get("views", 1)
        images = max(_sizes(wildcards)) * views + self._counts(target)["test"]
        # Their maps have four times the rows and columns where the stem does not shrink them.
        larger = 1 if self._architecture(wildcards["source"])["stem"] == "imagenet" else 16
        return min(CACHE_BYTES, images * ACTIVATION_BYTES * self._relative(wildcards["source"]) * larger)

    def _relative(self, source: str) -> float:
        return relative_cost(self._architecture(source))

    @functools.cache  # noqa: B019
    def _architecture(self, source: str) -> dict[str, Any]:
        """Resolution, width and stem of a source, as `checkpoints.architecture_of` finds them, which needs torch."""
        entry, own = self.config["sources"][source], {}
        if entry["kind"] == "file" and Path(entry["path"]).suffix == ".safetensors":
            own = _metadata(Path(entry["path"]))
        defaults = {"resolution": 224, "width": 1.0, "stem": "imagenet"}
        return {key: entry.get(key, own.get(key, default)) for key, default in defaults.items()}


def _sizes(wildcards: Mapping[str, str]) -> list[int]:
    """The numbers of images that a job trains on: one, or several as 50+100."""
    return [int(images) for images in (wildcards.get("sizes") or wildcards["images"]).split("+")]


def relative_cost(architecture: Mapping[str, Any]) -> float:
    """What a forward pass through a network costs, in units of ResNet-50's at 224x224 pixels: by its pixels, narrow ones no less."""
    return (architecture["resolution"] / 224) ** 2 * max(1.0, architecture["width"]) ** 2


def _metadata(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file, values as JSON; nothing of one that cannot be read, which its own job will say."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 10**8)))
        return {key: json.loads(value) for key, value in header.get("__metadata__", {}).items()}
    except (OSError, ValueError, struct.error, AttributeError, TypeError):
        return {}


@functools.cache  # once a process: what is asked for should not change while a run is planned
def _measured() -> float:
    """Seconds of a forward pass at 224x224 pixels; the assumed rate where no estimate was made, or its file is damaged, which it says."""
    try:
        seconds = json.loads(MEASURED.read_text())["forward_seconds"]
        if 0 < seconds < math.inf:
            return float(seconds)
    except FileNotFoundError:
        return 1 / FORWARD_PER_SECOND
    except (OSError, ValueError, KeyError, TypeError):
        pass
    print(
        f"{MEASURED}: no measured rate can be read there, so jobs ask for time as on an assumed GPU. Run 'snakemake estimate' again, or "
        "remove it.",
        file=sys.stderr,
    )
    return 1 / FORWARD_PER_SECOND
