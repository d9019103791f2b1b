"""Adversarial transferability of two networks, and its measures (Liang et al. 2021, arXiv 2006.14512).

An attack on a network a is the perturbation delta_a(x) that changes a's own output most. The change that it makes in the output of a
network b is D_ab(x) = b(x + delta_a(x)) - b(x), or to first order the Jacobian of b at x times delta_a(x). The measures compare
D_ab with what a's attack does to a, D_aa, and with what b's own attack does to b, D_bb. Here S is a source and T a target network, S -> T
attacks of S shown to T.

Changes are float64 [n, d]: n inputs, d outputs of the network whose output changes; d may differ between networks. Inputs where an
attack changes nothing (a norm below SMALLEST) have no direction and no ratio: they are left out, and `usable` counts them.
"""

import torch
from torch import nn

# Norms of changes below this are no changes (companion to the paper's quotients, which it leaves undefined there).
SMALLEST = 1e-8


def jacobians(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The derivative of each output after each input: [n, d, p], d outputs and p inputs of one row of `inputs` [n, p].

    network: maps one input [p] to its outputs [d], and treats every input alone (in eval mode: batch norm's statistics fixed).
    """
    return torch.func.vmap(torch.func.jacrev(network))(inputs)


def singular_directions(jacobian: torch.Tensor) -> torch.Tensor:
    """The right singular vectors of each Jacobian [n, d, p], strongest first: unit perturbations [n, min(d, p), p].

    To first order the first one is the attack: no other perturbation of its length changes the output more. The second is a
    negative control. Signs are arbitrary; no measure depends on them.
    """
    return torch.linalg.svd(jacobian, full_matrices=False).Vh


def change(jacobian: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The change [n, d] of a network's output to first order, for its Jacobians [n, d, p] and perturbations [n, p]."""
    return torch.einsum("ndp,np->nd", jacobian, direction)


def usable(*changes: torch.Tensor) -> torch.Tensor:
    """Which inputs [n], bool, have a change of at least SMALLEST in all of the given changes [n, d]."""
    return torch.stack([each.norm(dim=1) >= SMALLEST for each in changes]).all(0)


def alpha1(transferred: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """How much of b's own attack a's attack achieves, |D_ab| / |D_bb|, for each input [n]; NaN where D_bb is not usable.

    transferred: D_ab. own: D_bb. To first order it lies in [0, 1]; attacks found by search may exceed 1, which is not cut off. The
    measure of a pair of networks is the mean over inputs.
    """
    ratio = transferred.norm(dim=1) / own.norm(dim=1)
    return torch.where(usable(own), ratio, torch.nan)


def alpha2(attacked: torch.Tensor, transferred: torch.Tensor) -> torch.Tensor:
    """Whether a's attack moves b's output in one direction given a's: the Frobenius norm of E[unit(D_aa) unit(D_ab)^T], a scalar.

    attacked: D_aa [n, d_a]. transferred: D_ab [n, d_b]. 1 where one direction always goes with the same other; for a = b at least
    1 / sqrt(d).
    """
    return combined(attacked, transferred, None)


def combined(attacked: torch.Tensor, transferred: torch.Tensor, own: torch.Tensor | None) -> torch.Tensor:
    """alpha1 and alpha2 in one: the Frobenius norm of E[alpha1(x) unit(D_aa) unit(D_ab)^T], a scalar.

    attacked: D_aa. transferred: D_ab. own: D_bb; without it every input has weight 1, which is alpha2. NaN where no input is usable.
    """
    changes = [attacked, transferred] + ([] if own is None else [own])
    kept = usable(*changes)
    attacked, transferred = attacked[kept], transferred[kept]
    weights = torch.ones(len(attacked), dtype=attacked.dtype) if own is None else alpha1(transferred, own[kept])
    outer = torch.einsum("n,na,nb->ab", weights, _unit(attacked), _unit(transferred))
    return (outer / len(attacked)).norm()


def tau1(direction: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The squared cosine of the angle between two networks' attacks [n, p] at each input: [n] (paper's linearised theory)."""
    return (_unit(direction) * _unit(other)).sum(1) ** 2


def best_map(transferred: torch.Tensor, attacked: torch.Tensor) -> torch.Tensor:
    """The linear map A [d_T, d_S] that best turns D_SS into D_ST, E[D_ST D_SS^T] E[D_SS D_SS^T]^+, scaled down to spectral norm r.

    r^2 = E|D_ST|^2 / E|D_SS|^2; for one output the limit never binds (Cauchy-Schwarz). transferred: D_ST. attacked: D_SS.
    """
    cross = torch.einsum("nt,ns->ts", transferred, attacked) / len(attacked)
    moment = torch.einsum("na,nb->ab", attacked, attacked) / len(attacked)
    found = cross @ torch.linalg.pinv(moment, hermitian=True)
    limit = (transferred.pow(2).sum() / attacked.pow(2).sum()).sqrt()
    norm = torch.linalg.matrix_norm(found, 2)
    # ASSUME: the paper's projection is a scaling, as in the authors' code.
    return found * (limit / norm) if norm > limit else found


def tau2(transferred: torch.Tensor, attacked: torch.Tensor) -> torch.Tensor:
    """How well one linear map explains, over all inputs, T's change by S's: E<2 D_ST - A D_SS, A D_SS> / E|D_ST|^2, a scalar.

    A is `best_map`. 1 for S = T. With one output, E|grad T - A grad S|^2 = E[(1 - tau1 tau2) |grad T|^2] exactly.
    """
    explained = attacked @ best_map(transferred, attacked).T
    return ((2 * transferred - explained) * explained).sum() / transferred.pow(2).sum()


def gradient_distance(jacobian_target: torch.Tensor, jacobian_source: torch.Tensor) -> torch.Tensor:
    """min over A of sqrt(E ||J_T - A J_S||_F^2), a scalar: how far the source's gradients are from the target's up to a linear map.

    What the paper bounds by tau1 and tau2. Shapes [n, d_T, p] and [n, d_S, p].
    """
    cross = torch.einsum("ntp,nsp->ts", jacobian_target, jacobian_source)
    moment = torch.einsum("nap,nbp->ab", jacobian_source, jacobian_source)
    found = cross @ torch.linalg.pinv(moment, hermitian=True)
    rest = jacobian_target - torch.einsum("ts,nsp->ntp", found, jacobian_source)
    return (rest.pow(2).sum() / len(rest)).sqrt()


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)
