"""Measure head influence at the paper's scale: seconds and peak memory, beside what a Hessian by autograd would take.

    uv run python benchmarks/influence.py           # the cut 5e-2, a minute; and a head refitted to its ridge optimum
    uv run python benchmarks/influence.py --full    # every eigenvalue, and the refitted head's inverse: most of an hour, 12 GiB
    uv run python benchmarks/influence.py --quick   # all of it at an eighth of each number: seconds, to see that it runs

3,200 training images and as many plus 10,000 queries, 2,048 features, 10 classes; random features of clusters, and logits from
soft to saturated. Writes results/benchmarks/influence.json.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np
import torch
from torch.nn import functional

from advtransfer.artefacts import save_json
from advtransfer.datamodels import refit
from advtransfer.influence import head_influence, leading_eigenpairs, read_head

TRAINING, QUERIES, FEATURES, CLASSES = 3_200, 13_200, 2_048, 10
# The ridge of the default (docs/influence.md).
RIDGE = 1.0


def images(n: int, width: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [n, width] as pooling after a ReLU gives them, logits of the given standard deviation (nats), labels."""
    shared, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = shared.gamma(1, 0.5, (CLASSES, width))
    weights = 0.05 * (centres - centres.mean(0)) + shared.normal(0, 0.02, centres.shape)
    labels = rng.integers(0, CLASSES, n)
    features = np.maximum(0, centres[labels] + rng.normal(0, 0.7, (n, width))).astype(np.float32)
    logits = features @ weights.T
    return features, logits / logits.std() * spread, labels


def autograd_row_seconds(train: tuple[np.ndarray, np.ndarray, np.ndarray], rows: int = 5) -> float:
    """Seconds of one row of the Hessian by a second backward pass over all training images, in float32."""
    features, _, labels = (torch.as_tensor(part) for part in train)
    head = torch.nn.Linear(features.shape[1], CLASSES)
    parameters = tuple(head.parameters())
    gradients = torch.autograd.grad(
        functional.cross_entropy(head(features), labels, reduction="sum"), parameters, create_graph=True
    )
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    start = time.perf_counter()
    for row in range(rows):
        torch.autograd.grad(flat[row], parameters, retain_graph=True)
    return (time.perf_counter() - start) / rows


def refitted_seconds(
    train: tuple[np.ndarray, np.ndarray, np.ndarray], query: tuple[np.ndarray, np.ndarray, np.ndarray], full: bool
) -> dict[str, float]:
    """Seconds to fit the head to its ridge optimum, and with `full` to compute its influence by the Hessian with its ridge."""
    start = time.perf_counter()
    own, others = refit(train[0], train[2], query[0], CLASSES, RIDGE)
    seconds = {"fit": time.perf_counter() - start}
    if full:
        start = time.perf_counter()
        head_influence(train[0], own, train[2], query[0], others, query[2], damping=RIDGE)
        seconds["influence"] = time.perf_counter() - start
    return seconds


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--full", action="store_true", help="measure the full-rank path, and the refitted head's, as well"
    )
    parser.add_argument("--quick", action="store_true", help="everything, an eighth as large")
    arguments = parser.parse_args()
    share = 8 if arguments.quick else 1
    width, full = FEATURES // share, arguments.full or arguments.quick
    found = []
    cases = [(spread, 5e-2) for spread in (0.5, 3.0, 30.0)] + ([(3.0, 1e-20)] if full else [])
    for spread, cut in cases:
        train, query = images(TRAINING // share, width, spread, 1), images(QUERIES // share, width, spread, 2)
        start = time.perf_counter()
        head_influence(*train, *query, pinv_rcond=cut)
        seconds = time.perf_counter() - start
        pairs = (
            len(leading_eigenpairs(read_head(*train, torch.device("cpu"), "training"), cut)[0]) if cut > 1e-3 else None
        )
        # In bytes on macOS, in kB elsewhere.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        found.append(
            {"logit_spread_nats": spread, "pinv_rcond": cut, "eigenpairs": pairs, "seconds": seconds, "peak_gib": peak}
        )
        print(
            f"logits {spread:4.1f} nats, cut {cut:g}: {seconds:6.1f} s, {pairs or 'all'} eigenpairs, peak {peak:.1f} GiB",
            flush=True,
        )
    refitted = refitted_seconds(train, query, full)
    print("head refitted: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in refitted.items()), flush=True)
    row = autograd_row_seconds(train)
    parameters = (width + 1) * CLASSES
    print(
        f"autograd: {row:.3f} s a row of the Hessian, {row * parameters / 3600:.1f} hours for all {parameters:,}, before its SVD"
    )
    save_json(
        Path("results/benchmarks/influence.json"),
        {
            "threads": torch.get_num_threads(),
            "head_influence": found,
            "refitted_seconds": refitted,
            "autograd_seconds_per_row": row,
            "rows": parameters,
        },
    )


if __name__ == "__main__":
    main()
