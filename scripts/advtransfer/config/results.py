"""The kinds of files in results/, and what each holds: the second half of docs/outputs.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from advtransfer.config import columns


@dataclass(frozen=True)
class Result:
    """A kind of file in results/. path: with wildcards in {}. columns: of a table, or the tensors of a safetensors file."""

    path: str
    holds: str
    columns: Mapping[str, str]


_IMAGES = "uint8 [n, c, h, w] at native resolution"
_NETWORK = {"conv1.weight, ..., fc.bias": "the state dict, in torchvision's names"}
_CELL = "{protocol}/{source}/{target}/blocks{blocks}_n{images}"
_QUERIES = {
    "train_labels, test_labels": "int64 [n]",
    "train_image_ids, test_image_ids": "positions in the target's training and test images, int64 [n]",
}
RESULTS = (
    Result(
        "results/sources/{source}.safetensors",
        "A source network. Metadata: architecture, classes, resolution, normalisation, threat, and origin (a checkpoint, or the training "
        "record). `results/sources/{source}.json` is the training record of a source that was trained here.",
        _NETWORK,
    ),
    Result(
        "results/targets/{target}.safetensors",
        "A target data set. Metadata: class names, origin.",
        {"train_images, test_images": _IMAGES, "train_labels, test_labels": "int64 [n]"},
    ),
    Result(
        "results/subsets/{target}/n{images}.parquet",
        "The random subsets of one size, shared by every source and block count.",
        columns.SUBSETS,
    ),
    Result(
        f"results/transfer/{_CELL}/seeds{{first}}-{{last}}.parquet",
        "One row for each evaluated epoch of each fine-tuned model. `results/models/.../*.parquet` and `results/published/{log}.parquet` (the "
        "authors' logs) have the same columns.",
        columns.ROWS,
    ),
    Result(
        f"results/models/{_CELL}_seed{{seed}}.safetensors",
        "A fine-tuned network, where a figure looks into one. Metadata as of a source, and what it was fine-tuned on.",
        _NETWORK,
    ),
    Result(
        f"results/features/{_CELL}_seed{{seed}}.safetensors",
        "What a fine-tuned network makes of its training images and of test images.",
        {
            "train_features, test_features": "penultimate features, float32 [n, p]",
            "train_logits, test_logits": "float64 [n, classes]",
            **_QUERIES,
        },
    ),
    Result(
        f"results/influence/{_CELL}_seed{{seed}}.safetensors",
        "Influence through the head. Rows are queries (images whose loss is influenced), columns training images; positive is helpful.",
        {
            "influence_train": "on training images, float64 [n, n], nats per unit of weight",
            "influence_test": "on test images, float64 [m, n]",
            **_QUERIES,
        },
    ),
    Result(
        f"results/influence_cut/{_CELL}_seed{{seed}}.parquet",
        "How each inverse of the head's Hessian does on one network: a row for each head, inverse and level.",
        columns.INFLUENCE_CUT_ROWS,
    ),
    Result(
        f"results/influence_all/{_CELL}_seed{{seed}}.safetensors",
        "Influence through all fine-tuned weights, on some of the images.",
        {
            "influence_train": "on training images, float32 [q, n]",
            "influence_test": "on test images, float32 [q, n]",
            "train_query_image_ids": "which training images are queries, int64 [q]",
            **_QUERIES,
        },
    ),
    Result(
        "results/references/{recipe}/{source}/{target}/n{images}_seed{seed}.safetensors",
        "A reference network: trained from scratch on images of the target, in the architecture of a source. Metadata as of a source, and its "
        "accuracies.",
        _NETWORK,
    ),
    Result(
        "results/transferability/{comparison}/{protocol}/{source}/{target}/n{images}/seeds{first}-{last}.parquet",
        "A source compared with the reference networks of a target: a row for each seed. Comparison `networks` is of the experiment's own sources, "
        "`controlled` of those trained on mixtures. S is the source, T the reference network; D_ST is the change that S's attack makes in T's output.",
        columns.TRANSFERABILITY_ROWS,
    ),
    Result(
        "results/transferability/synthetic/seed{seed}.parquet",
        "One draw of the synthetic experiment of transferability: a row for each perturbation and attack. S is the perturbed source network, "
        "T the target network; D_ST is the change that S's attack makes in T's output.",
        columns.TRANSFERABILITY_SYNTHETIC,
    ),
    Result("results/robustness/{source}.parquet", "How robust a source is on its own test images.", columns.ROBUSTNESS),
    Result(
        "results/robustness_bound/{protocol}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.parquet",
        "Networks under attack: a row for each test image, seed and epsilon. Of linear probes (0 blocks), and of networks with trained blocks. "
        "In brackets the symbols of Nern et al.",
        columns.BOUND_ROWS,
    ),
    Result(
        "results/nonrobustness/{part}/{way}/{source}/{target}/{trained}_n{images}/seeds{first}-{last}.parquet",
        "Networks under attack: a row for each seed and radius, 0 included. Part `standard` has networks trained from scratch by a recipe, `fine_tuned` "
        "those by a protocol, with mitigation or without, `curve` those of figure 2's cells at one radius.",
        columns.NONROBUSTNESS_ROWS,
    ),
    Result(
        "results/nonrobustness_networks/{way}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.safetensors",
        "The fine-tuned networks that the study of non-robustness attacks, those of several seeds in one file. Metadata as of a source, and what they "
        "were fine-tuned on; `seeds`.",
        {"{seed}.conv1.weight, ..., {seed}.fc.bias": "the state dict of a seed, in torchvision's names"},
    ),
    Result(
        "results/nonrobustness_features/{way}/{source}/{target}/n{images}/seeds{first}-{last}.parquet",
        "Layers of a target's networks compared, and universal perturbations. Networks: `natural` and `robust` are the sources; `fine_tuned`, "
        "`mitigated` (largest beta) come from the natural one, `robust_fine_tuned` from the robust one; `standard` is from scratch.",
        columns.NONROBUSTNESS_FEATURES_ROWS,
    ),
    Result(
        "results/tables/{experiment}/{figure}.csv, .safetensors",
        "Exactly what a figure draws; columns above. A CSV table has its hash beside it, in {figure}.csv.sha256.",
        {},
    ),
    Result(
        "results/reports/{experiment}.html, {experiment}_so_far.html",
        "Every figure and table of an experiment with its caption, in one page without scripts that loads nothing (`snakemake report`).",
        {},
    ),
    Result("results/downloads/", "Checkpoints, archives and logs as they came, verified.", {}),
    Result(
        "results/logs/, results/benchmarks/", "What each job said, and what it took (Snakemake's benchmark files).", {}
    ),
)
