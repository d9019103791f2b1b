"""Projected gradient descent (paper, sections 3 and 4; Madry et al. 2018)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from advtransfer.errors import InputError
from advtransfer.threats import Threat


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode, and every module back in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def pgd(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    threat: Threat,
    steps: int,
    step_size: float | None = None,
    random_start: bool = False,
    keep_best: bool = False,
    generator: torch.Generator | None = None,
    objective: Callable[[torch.Tensor], torch.Tensor] | None = None,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Adversarial images [n, c, h, w] that raise the cross-entropy of `model`, or `objective`, within `threat` of `images`.

    Every step goes along the steepest ascent direction of the threat's norm, back into the ball, then back into
    [0, 1] (the order of the `robustness` library). The model is in eval mode meanwhile; its parameters, its
    parameters' gradients and its modes are left as they were.

    model: maps images in [0, 1] to logits [n, classes]. labels: int64 [n]. steps: 0 returns the start.
    step_size: in pixel units; 2.5 epsilon / steps if not given. random_start: begin at a random point of the ball.
    keep_best: return each image's iterate of highest loss, the first and the last included, not the last iterate.
    generator: the source of the random start; the device's default generator if not given.
    objective: what is raised, of images [n, c, h, w], a number for each [n]; it may use `model` in any way, and then `labels` are not
    looked at. start: the perturbations [n, c, h, w] to begin at, instead of none or random ones.
    """
    images = images.detach()

    def losses_of(candidates: torch.Tensor) -> torch.Tensor:
        if objective is not None:
            return objective(candidates)
        return functional.cross_entropy(model(candidates), labels, reduction="none")

    if step_size is None:
        step_size = 2.5 * threat.epsilon / max(steps, 1)
    adversarial = images
    if random_start:
        adversarial = (images + threat.random_start(images, generator)).clamp(0, 1)
    if start is not None:
        adversarial = (images + threat.project(start)).clamp(0, 1)
    best, best_losses = adversarial, None

    def keep(candidates: torch.Tensor, losses: torch.Tensor) -> None:
        nonlocal best, best_losses
        if best_losses is None:
            best, best_losses = candidates, losses
        else:
            better = losses > best_losses
            best = torch.where(better.view(-1, *[1] * (images.dim() - 1)), candidates, best)
            best_losses = torch.where(better, losses, best_losses)

    with evaluating(model), torch.enable_grad():
        for _ in range(steps):
            adversarial = adversarial.detach().requires_grad_(True)
            losses = losses_of(adversarial)
            # The sum, not the mean: each image's gradient is then independent of its batch.
            (gradient,) = torch.autograd.grad(losses.sum(), adversarial)
            adversarial = adversarial.detach()
            if keep_best:
                keep(adversarial, losses.detach())
            perturbation = threat.project(adversarial + threat.step(gradient, step_size) - images)
            adversarial = (images + perturbation).clamp(0, 1)
        if keep_best:
            with torch.no_grad():
                keep(adversarial, losses_of(adversarial))
            return best
    return adversarial


def pgd_restarts(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    threat: Threat,
    steps: int,
    restarts: int,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """The worst case over `restarts` runs of PGD from random starts: adversarial images [n, c, h, w].

    An image that a run has got misclassified is settled: later runs attack the others only, so that no restart undoes an
    earlier success. Of an image that withstands all runs, the perturbation of highest loss is returned. Each run keeps
    its own iterate of highest loss. Arguments as for `pgd`.
    """
    worst = images.detach().clone()
    worst_losses = torch.full((len(images),), -torch.inf, device=images.device, dtype=images.dtype)
    standing = torch.arange(len(images), device=images.device)
    for _ in range(restarts):
        if not len(standing):
            break
        x, y = images[standing], labels[standing]
        adversarial = pgd(model, x, y, threat, steps, random_start=True, keep_best=True, generator=generator)
        with evaluating(model), torch.no_grad():
            logits = model(adversarial)
        losses = functional.cross_entropy(logits, y, reduction="none")
        fooled = logits.argmax(1) != y
        taken = fooled | (losses > worst_losses[standing])
        worst[standing[taken]] = adversarial[taken]
        worst_losses[standing[taken]] = losses[taken]
        standing = standing[~fooled]
    return worst


def autoattack(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, threat: Threat, classes: int, seed: int = 0
) -> torch.Tensor:
    """Adversarial images [n, c, h, w] of the standard AutoAttack ensemble (Croce and Hein 2020), by torchattacks.

    Slower than PGD with 20 steps by a factor of hundreds. Raises InputError where torchattacks is not installed.
    """
    try:
        import torchattacks
    except ImportError:
        raise InputError(
            "robustness.attack: found 'autoattack', but the package torchattacks is not installed. Install torchattacks "
            "3.3.0, or use 'pgd'."
        ) from None
    norm = {"l2": "L2", "linf": "Linf"}[threat.norm]
    with evaluating(model), torch.enable_grad():
        attack = torchattacks.AutoAttack(model, norm, threat.epsilon, "standard", n_classes=classes, seed=seed)
        return attack(images, labels).detach()
