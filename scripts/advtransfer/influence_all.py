"""Influence through all fine-tuned weights, by kronfluence's EK-FAC approximation of the Hessian; beyond the paper.

As `influence`, with all convolutions and the head of the trained blocks in place of the head alone (batch norm's parameters are
left out: EK-FAC has no factors for them), and with the Gauss-Newton Hessian approximated block by block. The network in
evaluation mode, no weight decay; positive is helpful.
"""

import copy
import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from advtransfer.activations import pass_frozen
from advtransfer.features import pass_images
from advtransfer.models import ImageClassifier, ResNet

logger = logging.getLogger(__name__)

# Values of per-image gradients that are held at once.
GRADIENT_VALUES = 2**27


class TrainedPart(nn.Module):
    """The last `blocks` blocks and the head, as a network of their own on what `activations.pass_frozen` returns."""

    def __init__(self, network: ResNet, blocks: int):
        super().__init__()
        self.blocks = nn.ModuleList(network.split_blocks(blocks)[1])
        self.pool = network.pool if blocks else nn.Identity()
        self.fc = network.fc

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations [n, c, h, w], or features [n, p] with 0 blocks, to logits [n, classes]."""
        for block in self.blocks:
            x = block(x)
        return self.fc(self.pool(x))


def all_parameter_influence(
    model: ImageClassifier,
    blocks: int,
    train: tuple[torch.Tensor, torch.Tensor],
    queries: tuple[torch.Tensor, torch.Tensor],
    resolution: int,
    device: torch.device,
    strategy: str = "ekfac",
) -> torch.Tensor:
    """Influence [queries, training images] of each training image on each query's loss, through all trained weights.

    train, queries: uint8 images [n, c, h, w] and labels [n]. strategy: kronfluence's; "identity" leaves the Hessian out, so that
    influence is the inner product of gradients. Labels for the Fisher matrix are sampled from the network's predictions, seeded.
    """
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    model = copy.deepcopy(model).to(device).eval()  # kronfluence wraps its modules
    part = TrainedPart(model.network, blocks).requires_grad_(True)
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
        activations = pass_images(lambda x: pass_frozen(model, blocks, x), images, resolution, device)
        return TensorDataset(activations.contiguous(), labels)

    train_set, query_set = dataset(*train), dataset(*queries)
    at_once = max(1, min(256, GRADIENT_VALUES // weights))
    task = Classification()
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(), _eigh_that_ends():
        torch.manual_seed(0)
        analyzer = Analyzer(
            "influence",
            prepare_model(part, task),
            task,
            cpu=device.type == "cpu",
            disable_tqdm=True,
            output_dir=folder,
        )
        analyzer.fit_all_factors(
            "factors", train_set, per_device_batch_size=at_once, factor_args=FactorArguments(strategy=strategy)
        )
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            query_dataset=query_set,
            train_dataset=train_set,
            per_device_query_batch_size=at_once,
            per_device_train_batch_size=at_once,
            # A tenth of the mean eigenvalue: kronfluence's heuristic.
            score_args=ScoreArguments(damping_factor=None),
        )
        return analyzer.load_pairwise_scores("scores")["all_modules"].cpu()


@contextmanager
def _eigh_that_ends() -> Iterator[None]:
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

            logger.warning("torch finds no eigenvalues of a covariance %s: scipy is asked", list(matrix.shape))
            values, vectors = scipy.linalg.eigh(matrix.cpu().double().numpy(), driver="evr")
            return torch.from_numpy(values).to(matrix), torch.from_numpy(vectors).to(matrix)

    torch.linalg.eigh = eigh
    try:
        yield
    finally:
        torch.linalg.eigh = first
