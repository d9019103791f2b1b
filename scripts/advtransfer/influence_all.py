"""Influence through all fine-tuned weights, by kronfluence's EK-FAC approximation of the Hessian; beyond the paper.

As `influence`, with all convolutions and the head of the trained blocks in place of the head alone (batch norm's parameters are
left out: EK-FAC has no factors for them), and with the Gauss-Newton Hessian approximated block by block. The network in
evaluation mode, no weight decay; positive is helpful.
"""

import copy
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from advtransfer.activations import pass_frozen
from advtransfer.features import pass_images
from advtransfer.models import ImageClassifier, block_modules

# Values of per-image gradients that are held at once.
GRADIENT_VALUES = 2**27


def trained_part(model: ImageClassifier, blocks: int) -> nn.Sequential:
    """The last `blocks` blocks and the head, as a network of its own on what `activations.pass_frozen` returns."""
    network = model.network
    if blocks == 0:
        return nn.Sequential(network.fc)
    return nn.Sequential(*block_modules(network)[-blocks:], network.avgpool, nn.Flatten(1), network.fc)


def all_parameter_influence(
    model: ImageClassifier,
    blocks: int,
    train: tuple[torch.Tensor, torch.Tensor],
    targets: tuple[torch.Tensor, torch.Tensor],
    resolution: int,
    device: torch.device,
    strategy: str = "ekfac",
    log: Callable[[str], None] = lambda line: None,
) -> torch.Tensor:
    """Influence [targets, training images] through all trained weights.

    train, targets: uint8 images [n, c, h, w] and labels [n]. strategy: kronfluence's; "identity" leaves the Hessian out, so that
    influence is the inner product of gradients. Labels for the Fisher matrix are sampled from the network's predictions, seeded.
    """
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    model = copy.deepcopy(model).to(device).eval()  # kronfluence wraps its modules
    part = trained_part(model, blocks).requires_grad_(True)
    modules = [name for name, module in part.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    weights = sum(math.prod(part.get_submodule(name).weight.shape) for name in modules)

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):
            logits = model(batch[0])
            labels = batch[1]
            if sample:
                with torch.no_grad():
                    labels = torch.multinomial(logits.softmax(1), 1).squeeze(1)
            return functional.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self):
            return modules

        def get_attention_mask(self, batch):
            return None

    def dataset(images: torch.Tensor, labels: torch.Tensor) -> TensorDataset:
        kept = pass_images(lambda x: pass_frozen(model, blocks, x), images, resolution, device, log)
        return TensorDataset(kept.contiguous(), labels)

    train_set, target_set = dataset(*train), dataset(*targets)
    at_once = max(1, min(256, GRADIENT_VALUES // weights))
    task = Classification()
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(), _eigh_that_ends(log):
        torch.manual_seed(0)
        analyzer = Analyzer(
            "influence",
            prepare_model(part, task),
            task,
            cpu=device.type == "cpu",
            disable_tqdm=True,
            log_level=40,
            output_dir=folder,
        )
        analyzer.fit_all_factors(
            "factors", train_set, per_device_batch_size=at_once, factor_args=FactorArguments(strategy=strategy)
        )
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            query_dataset=target_set,
            train_dataset=train_set,
            per_device_query_batch_size=at_once,
            per_device_train_batch_size=at_once,
            # A tenth of the mean eigenvalue: kronfluence's heuristic.
            score_args=ScoreArguments(damping_factor=None),
        )
        return analyzer.load_pairwise_scores("scores")["all_modules"].cpu()


@contextmanager
def _eigh_that_ends(log: Callable[[str], None]) -> Iterator[None]:
    """torch.linalg.eigh with scipy behind it, for kronfluence.

    LAPACK's divide and conquer, which torch calls, gives up on some covariances of silent units (nearly all entries 0); the
    method of relatively robust representations, scipy's, does not.
    """
    first = torch.linalg.eigh

    def eigh(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        try:
            return first(matrix)
        except torch.linalg.LinAlgError:
            import scipy.linalg

            log(f"torch finds no eigenvalues of a covariance {list(matrix.shape)}: scipy is asked")
            values, vectors = scipy.linalg.eigh(matrix.cpu().double().numpy(), driver="evr")
            return torch.from_numpy(values).to(matrix), torch.from_numpy(vectors).to(matrix)

    torch.linalg.eigh = eigh
    try:
        yield
    finally:
        torch.linalg.eigh = first
