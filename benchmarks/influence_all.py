"""Which influence predicts the whole fine-tuning? Networks are trained again on halves of their images, and scores are compared.

    uv run snakemake figures/influence_cut.csv    # makes the networks of `demo`
    uv run python benchmarks/influence_all.py results/models/demo/mini_*/digits/blocks3_n200_seed*.safetensors
    uv run python benchmarks/influence_all.py --quick FILE    # 6 halves, 10 queries: to see that it runs

Half an hour on a core: a fine-tuning of 100 miniature images takes half a second to a second, EK-FAC a minute or four. The linear datamodeling score of each influence: the
rank correlation of its predictions and the real losses over the halves, mean over queries; beside it that of heads that are really retrained
(on the network's features, ridge 1), and that of the losses of other seeds on the same halves, which is all that can be known without the seed.
Writes results/benchmarks/influence_all.json, after every network.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np
import torch
import yaml
from snakemake.utils import update_config

from advtransfer.artefacts import load_tensors, save_json
from advtransfer.config.inspection import model_file
from advtransfer.config.resolve import resolve_protocol
from advtransfer.datamodels import datamodeling_score, draw_halves, rank_correlations, refit, retrain, rotate
from advtransfer.datasets import load_dataset
from advtransfer.devices import pick_device
from advtransfer.influence import head_influence
from advtransfer.influence_all import all_parameter_influence
from advtransfer.models import load_source
from advtransfer.retraining import retrained_losses
from advtransfer.tables.intervals import interval

PROJECT = Path(__file__).resolve().parents[1]
# That of the refitted head, chosen in docs/influence.md.
RIDGE = 1.0


def head_predictions(train: Sequence[np.ndarray], query: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Influence [q, n] of several inverses of the head; train, query: features, logits, labels."""
    own, others = refit(train[0], train[2], query[0], train[1].shape[1], RIDGE)
    refitted = (train[0], own, train[2]), (query[0], others, query[2])
    return {
        "head as fine-tuned, cut 5e-2": head_influence(*train, *query, pinv_rcond=5e-2),
        "head as fine-tuned, cut 1e-8": head_influence(*train, *query, pinv_rcond=1e-8),
        "head as fine-tuned, damping 1": head_influence(*train, *query, damping=1.0),
        "head refitted, its ridge": head_influence(*refitted[0], *refitted[1], damping=RIDGE),
        "head refitted, damping 10 in all": head_influence(*refitted[0], *refitted[1], damping=10.0),
    }


def measure(model: Path, config: Mapping[str, Any], sizes: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Scores of one network: {"source", "target", ..., "scores": {influence: mean over queries}, "seconds": {...}}."""
    facts = load_tensors(model, [])[1]
    identity = {name: facts[name] for name in ("protocol", "source", "target", "blocks", "images", "seed")}
    part = {**identity, "sources": {"own": identity["source"]}}
    read, _ = load_tensors(model_file(identity["protocol"], part, "own", "results/features"), own=True)
    dataset = load_dataset(f"results/targets/{identity['target']}.safetensors")
    chosen = torch.linspace(0, len(read["test_labels"]) - 1, min(sizes.queries, len(read["test_labels"])))
    chosen = chosen.round().long()
    names = ("features", "logits", "labels")
    train = [read[f"train_{name}"].numpy() for name in names]
    query = [read[f"test_{name}"][chosen].numpy() for name in names]
    train_ids, query_ids = read["train_image_ids"], read["test_image_ids"][chosen]
    halves = draw_halves(len(train_ids), sizes.halves, identity["seed"])
    # The seed that the network itself was trained with, and others.
    seeds = [identity["seed"] + repeat for repeat in range(sizes.repeats)]
    protocol = resolve_protocol(config, identity["protocol"], len(train_ids) // 2)
    protocol["resolution"] = facts["resolution"]
    seconds, start = {}, time.perf_counter()
    source, blocks = f"results/sources/{identity['source']}.safetensors", identity["blocks"]
    each = retrained_losses(source, dataset, train_ids, query_ids, halves, seeds, blocks, protocol, device)
    seconds["retraining"] = time.perf_counter() - start
    start = time.perf_counter()
    queries = dataset.test_images[query_ids], dataset.test_labels[query_ids]
    own = dataset.train_images[train_ids], dataset.train_labels[train_ids]
    through_all = all_parameter_influence(load_source(model), blocks, own, queries, facts["resolution"], device)
    seconds["all weights"] = time.perf_counter() - start
    predictions = {**head_predictions(train, query), "all weights (EK-FAC)": through_all.double().numpy()}
    losses = each.mean(0)
    scores = {name: datamodeling_score(found, halves, losses).mean() for name, found in predictions.items()}
    heads = retrain(rotate(train[0], query[0]), train[2], query[2], train[1].shape[1], RIDGE, halves)
    scores["heads really retrained"] = rank_correlations(heads, losses).mean()
    if len(seeds) > 1:
        scores["one seed's losses, of another's"] = np.mean(
            [rank_correlations(*pair).mean() for pair in pairwise(each)]
        )
    tops = {name: (train[2][found.argmax(1)] == query[2]).mean() for name, found in predictions.items()}
    return {
        **identity,
        "scores": {name: float(score) for name, score in scores.items()},
        "top1": {name: float(share) for name, share in tops.items()},
        "mean_loss_nats": float(losses.mean()),
        "seconds": seconds,
    }


def summarise(networks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """{source, or "all": {influence: mean over networks, low and high of Student's 95% interval}}."""
    groups = {source: [n for n in networks if n["source"] == source] for source in {n["source"] for n in networks}}
    made = {}
    for group, members in {**groups, "all": networks}.items():
        made[group] = {}
        for name in members[0]["scores"]:
            values = np.array([network["scores"][name] for network in members])
            made[group][name] = {"mean": float(values.mean())}
            if len(values) > 1:  # a single network has no interval
                made[group][name] |= dict(zip(("low", "high"), map(float, interval(values, "t", name)), strict=True))
    return made


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="fine-tuned networks; their features must have been made")
    parser.add_argument(
        "--configfile", type=Path, nargs="*", default=[], help="merged into config.yaml, as Snakemake does it"
    )
    parser.add_argument("--halves", type=int, default=100)
    parser.add_argument("--queries", type=int, default=100, help="test images at most")
    parser.add_argument("--repeats", type=int, default=3, help="seeds whose losses are averaged")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="6 halves, 10 queries")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/influence_all.json"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.halves, arguments.queries = 6, 10
    config: dict[str, Any] = {}
    for file in (PROJECT / "config.yaml", *arguments.configfile):
        update_config(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    device, networks = pick_device(arguments.threads), []
    sizes = {name: getattr(arguments, name) for name in ("halves", "queries", "repeats")}
    for model in arguments.models:
        networks.append(measure(model, config, arguments, device))
        last = networks[-1]
        print(
            *(last[name] for name in ("protocol", "source", "target", "seed")),
            {k: round(v) for k, v in last["seconds"].items()},
        )
        for name, score in last["scores"].items():
            print(f"  {name:34s} {score:6.3f}", flush=True)
        save_json(arguments.output, {**sizes, "networks": networks, "summary": summarise(networks)})
    for group, found in summarise(networks).items():
        print(group)
        for name, values in found.items():
            print(f"  {name:34s}", *(f"{values[key]:6.3f}" for key in values))


if __name__ == "__main__":
    main()
