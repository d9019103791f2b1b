"""Head influence with many inverses of one Hessian: what is decomposed once serves every cut and every damping.

`influence` computes one matrix as fast and in as little memory as it can. Here the whole spectrum of its Hessian H = M M^T is kept, with the
coordinates of all gradients, so that another inverse costs one product of matrices:

    I = G_queries V f(values) V^T G_train^T,   f(x) = 1 / x for what a cut keeps and 0 below it, or 1 / (x + damping)

Training gradients lie in the span of the training images' features, so these are rotated first into as few dimensions as there are
images. Singular values of M are found instead of eigenvalues of H where M is small enough: float64 tells the eigenvalues of H from rounding
down to about 1e-13 of the largest, the squares of M's singular values down to its square. The paper's cut of 1e-20 lies between the two.
"""

from dataclasses import dataclass, replace

import torch

from advtransfer.errors import InputError
from advtransfer.influence import EPSILON, Head, curvature_factors, primal_hessian, root_complement, sum_zero_basis

# The larger side of M up to which it is decomposed itself: half a minute on a core.
LARGEST_FACTOR = 4096
# Rows of H along the training images' features up to which it is decomposed: 10 GiB. The paper's have 18,441.
LARGEST_HESSIAN = 20_000


@dataclass(frozen=True)
class Spectrum:
    """values: eigenvalues of H [k], descending. query [q, k], train [n, k]: coordinates of the gradients along its eigenvectors.

    rounding: the share of the largest eigenvalue up to which the others are nothing but rounding.
    """

    values: torch.Tensor
    query: torch.Tensor
    train: torch.Tensor
    rounding: float

    def kept(self, pinv_rcond: float, ridge: float = 0.0) -> torch.Tensor:
        """Which eigenvalues a cut keeps [k]: those of H + ridge above pinv_rcond times their largest, and no rounding of H where there is
        no ridge.
        """
        if not len(self.values) or self.values[0] <= 0:
            return torch.zeros(len(self.values), dtype=torch.bool, device=self.values.device)
        share = max(pinv_rcond, 0.0 if ridge else self.rounding)
        return self.values + ridge > share * (self.values[0] + ridge)

    def cut(self, pinv_rcond: float, ridge: float = 0.0) -> torch.Tensor:
        """Influence [q, n] by the pseudo-inverse of H + ridge that keeps `kept`."""
        kept = self.kept(pinv_rcond, ridge)
        return self.query[:, kept] / (self.values[kept] + ridge) @ self.train[:, kept].T

    def damped(self, damping: float) -> torch.Tensor:
        """Influence [q, n] by (H + damping)^-1; damping > 0, in the units of H."""
        return self.query / (self.values + damping) @ self.train.T


def spectrum(train: Head, query: Head) -> Spectrum:
    """The whole spectrum of the training images' Hessian, with gradients of both sets (`influence.read_head`).

    Memory: 3 times the decomposed matrix and the coordinates of all gradients, 8 bytes a number; the matrix has
    (C - 1) min(n, P + 1) rows, and n (C - 1) columns where it is M.
    """
    # h = triangle^T directions: the coordinates of the training images along orthonormal directions.
    directions, triangle = torch.linalg.qr(train.h.T)
    train = replace(train, h=triangle.T)
    query = replace(query, h=query.h @ directions)
    basis = sum_zero_basis(train.p.shape[1], train.h.device)
    size = basis.shape[1] * train.h.shape[1]

    def coordinates(head: Head) -> torch.Tensor:
        return head.project(torch.einsum("ca,kap->kcp", basis, vectors.T.reshape(-1, basis.shape[1], train.h.shape[1])))

    if size > LARGEST_HESSIAN:
        raise InputError(
            f"influence: all eigenvalues of a head on {len(train.h):,} images and {basis.shape[1] + 1} classes are those of a matrix of {size:,} "
            f"rows, at most {LARGEST_HESSIAN:,} are decomposed. Choose fewer images ('images' of 'influence' in an experiment)."
        )
    if len(train.h) * basis.shape[1] > LARGEST_FACTOR:
        values, vectors = torch.linalg.eigh(primal_hessian(train, basis))
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        return Spectrum(values, coordinates(query), coordinates(train), EPSILON * size)
    factors = torch.einsum("ca,ncb,np->apnb", basis, curvature_factors(train), train.h)
    vectors, singular, right = torch.linalg.svd(factors.reshape(size, -1), full_matrices=False)
    own = _own_coordinates(train, singular, right)
    return Spectrum(
        singular.square(), coordinates(query), coordinates(train) if own is None else own, (EPSILON * size) ** 2
    )


def _own_coordinates(train: Head, singular: torch.Tensor, right: torch.Tensor) -> torch.Tensor | None:
    """Coordinates [n, k] of the training gradients out of M's right singular vectors [k, n (C - 1)], which keeps the digits of small ones.

    A gradient is M's own columns times w_i, r_i = F_i w_i. None where a label's probability is too small for a number.
    """
    root = train.p.sqrt()
    if ((root == 0) & (train.r != 0)).any():
        return None
    quotient = torch.where(root > 0, train.r / root, 0.0)
    w = torch.einsum("ncb,nc->nb", root_complement(train), quotient)
    return torch.einsum("knb,nb->nk", right.view(len(right), *w.shape), w) * singular
