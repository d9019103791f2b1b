"""Influence of training images on the loss of query images, through the last layer (paper, section 6 and appendix A).

For a softmax head on fixed features both the gradient and the Hessian have a closed form, so neither autograd nor, mostly, the
Hessian itself is needed. With h_i the features of image i and a 1 for the bias, p_i its class probabilities, y_i its label
one-hot, and theta the head's weights and biases [C, P + 1]:

    g_i = (p_i - y_i) (x) h_i                                     gradient of image i's cross-entropy
    H   = sum over training images of (diag(p_i) - p_i p_i^T) (x) h_i h_i^T
    I   = G_queries H^+ G_train^T                                 [queries, training images]

I[q, i] > 0: image i is helpful, raising its weight lowers the loss of q, at a rate of I[q, i] nats per unit of weight. The sum
over images has weight 1 for each; no weight decay enters H.

H is always singular: softmax ignores a shift that all logits share, and no gradient has a part along it. H^+ is the
pseudo-inverse that keeps eigenvalues above `pinv_rcond` times the largest; or, with damping, (H + damping)^-1.
Everything is float64, and probabilities near 0 and 1 are kept as differences of logits, since saturated networks have p - y far
below the rounding of 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from advtransfer.errors import InputError

# The share of the largest eigenvalue below which float64 leaves nothing but rounding, for each row of the matrix.
EPSILON = float(np.finfo(np.float64).eps)
# Eigenpairs that Lanczos is asked for at first, and the most before the dense way is shorter.
FIRST_PAIRS, MOST_PAIRS = 8, 1024
# How exactly a search that only asks whether anything is left above the cut has to know the eigenvalue.
CHECK_TOLERANCE = 1e-2
# Above this cut, few eigenvalues are expected to be kept.
LANCZOS_CUT = 1e-3
# Rows of a matrix that is factorised with damping; beyond, as 100 classes soon have, systems are solved by products with the features.
LARGEST_FACTORISED = 16_384
# Systems that conjugate gradients solve at once, how exactly, and after how many steps at most they end.
SYSTEMS, RESIDUAL, MOST_STEPS = 64, 1e-10, 10_000


@dataclass
class Head:
    """The last layer's view of images: h [n, P + 1] (features and a 1), p [n, C], r = p - y [n, C]; all float64."""

    h: torch.Tensor
    p: torch.Tensor
    r: torch.Tensor

    def apply_curvature(self, u: torch.Tensor) -> torch.Tensor:
        """(diag(p_i) - p_i p_i^T) u_i for each image: u and result [n, C] or [n, C, k].

        u is shifted by its value at the likeliest class first, which changes nothing (the matrix annihilates constants) but
        leaves only small probabilities in the sum: the result keeps its digits however saturated p is.
        """
        p = self.p if u.dim() == 2 else self.p.unsqueeze(-1)
        likeliest = self.p.argmax(1).view(-1, 1, *[1] * (u.dim() - 2)).expand(-1, 1, *u.shape[2:])
        v = u - u.gather(1, likeliest)
        return p * (v - (p * v).sum(1, keepdim=True))

    def project(self, vectors: torch.Tensor) -> torch.Tensor:
        """Inner products of each image's gradient with vectors [k, C, P + 1]: [n, k]."""
        count, classes, width = vectors.shape
        products = (self.h @ vectors.reshape(count * classes, width).T).view(len(self.h), count, classes)
        return torch.einsum("nkc,nc->nk", products, self.r)

    def __getitem__(self, rows: slice) -> "Head":
        return Head(self.h[rows], self.p[rows], self.r[rows])


def read_head(features: np.ndarray, logits: np.ndarray, labels: np.ndarray, device: torch.device, name: str) -> Head:
    """Features [n, P] (without the constant 1), logits [n, C] and labels [n] of one set of images, checked.

    Raises InputError where shapes do not agree, a label is no class, or a value is not finite.
    """
    h, z, y = (torch.as_tensor(np.asarray(array)) for array in (features, logits, labels))
    if h.dim() != 2 or z.dim() != 2 or y.dim() != 1 or not len(h) == len(z) == len(y):
        raise InputError(
            f"influence: {name} features {list(h.shape)}, logits {list(z.shape)}, labels {list(y.shape)}. "
            "Give [n, features], [n, classes] and [n]."
        )
    h, z = h.to(device, torch.float64), z.to(device, torch.float64)
    y = y.to(device, torch.int64)
    if not torch.isfinite(h).all() or not torch.isfinite(z).all():
        raise InputError(f"influence: {name} features or logits hold NaN or infinite values. Check the network.")
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < z.shape[1]:
        raise InputError(
            f"influence: {name} labels lie in [{int(y.min())}, {int(y.max())}], the head has {z.shape[1]} classes. "
            "Give labels from 0."
        )
    p = torch.softmax(z, 1)
    others = p.scatter(1, y.unsqueeze(1), 0.0)
    # p - 1 would round to 0 once the margin passes 37 nats.
    r = others.scatter(1, y.unsqueeze(1), -others.sum(1, keepdim=True))
    return Head(torch.cat([h, torch.ones(len(h), 1, dtype=h.dtype, device=device)], 1), p, r)


def head_influence(
    train_features: np.ndarray,
    train_logits: np.ndarray,
    train_labels: np.ndarray,
    target_features: np.ndarray,
    target_logits: np.ndarray,
    target_labels: np.ndarray,
    pinv_rcond: float = 5e-2,
    damping: float = 0.0,
    method: str = "auto",
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Influence [queries, training images] of each training image on each query's loss; see the module for the formula.

    Features [n, P] without the constant 1, logits [n, C], labels [n] (0 .. C - 1). The queries' are called target_* here, a
    name that callers outside this project rely on.
    pinv_rcond: eigenvalues of H up to this share of the largest count as 0. The paper's text says 1e-20, which keeps all that
    are not rounding; the script that most likely made its figures used 5e-2, the default.
    damping: if positive, (H + damping)^-1 instead, in the units of H; pinv_rcond is then not used.
    method: "lanczos" finds the kept eigenpairs by products with the features alone; "primal" decomposes H in the space of
    sum-zero logits, [(C - 1)(P + 1)]^2 numbers; "dual" the Gram matrix of its factors, [n (C - 1)]^2; "conjugate", for damping
    only, solves with products of the features, to a relative residual of 1e-10. "auto": Lanczos for a cut above 1e-3, and the smaller of primal and dual below, for damping up to LARGEST_FACTORISED rows, or where Lanczos would have
    to find over 1,024 pairs.
    Memory: 3 times the decomposed matrix, 8 bytes a number.

    Raises InputError as `read_head` does, and where the two sets do not belong to one head.
    """
    device = torch.device(device)
    train = read_head(train_features, train_logits, train_labels, device, "training")
    query = read_head(target_features, target_logits, target_labels, device, "query")
    if train.h.shape[1] != query.h.shape[1] or train.p.shape[1] != query.p.shape[1]:
        raise InputError(
            f"influence: training images have {train.h.shape[1] - 1} features and {train.p.shape[1]} classes, queries "
            f"{query.h.shape[1] - 1} and {query.p.shape[1]}. Take both from the same network."
        )
    if pinv_rcond < 0 or damping < 0:
        raise InputError(f"influence: pinv_rcond {pinv_rcond}, damping {damping}. Give numbers from 0.")
    classes, width = train.p.shape[1], train.h.shape[1]
    dense = "primal" if width <= len(train.h) else "dual"
    rows = (classes - 1) * min(width, len(train.h))
    if method == "auto":
        method = "lanczos" if pinv_rcond >= LANCZOS_CUT and not damping else dense
        if damping and rows > LARGEST_FACTORISED:
            method = "conjugate"
    if method == "conjugate":
        return _conjugate(train, query, damping).cpu().numpy()
    if method == "lanczos":
        pairs = leading_eigenpairs(train, pinv_rcond)
        if pairs is not None:
            values, vectors = pairs
            return (query.project(vectors) / values @ train.project(vectors).T).cpu().numpy()
        method = dense
    solve = {"primal": _primal, "dual": _dual}[method]
    return solve(train, query, pinv_rcond, damping).cpu().numpy()


def leading_eigenpairs(train: Head, pinv_rcond: float) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Every eigenvalue of H above pinv_rcond times the largest, descending [k], and its eigenvector [k, C, P + 1].

    By Lanczos iteration with products of H. Lanczos can overlook copies of an eigenvalue; so H is searched again with all
    that were found taken out, until nothing above the cut is left. None where there are more than MOST_PAIRS.
    """
    classes, width = train.p.shape[1], train.h.shape[1]
    size = classes * width
    nothing = torch.zeros(0, dtype=torch.float64, device=train.h.device)
    if not (train.p * (1 - train.p)).any():  # every image is perfectly certain
        return nothing, nothing.view(0, classes, width)
    found_values: list[float] = []
    found = nothing.view(0, size)

    def multiply(flat: np.ndarray) -> np.ndarray:
        vector = torch.as_tensor(flat, device=train.h.device).reshape(-1)
        vector = vector - found.T @ (found @ vector)
        product = train.apply_curvature(train.h @ vector.view(classes, width).T).T @ train.h
        product = product.reshape(-1)
        return (product - found.T @ (found @ product)).cpu().numpy()

    largest, wanted = 0.0, FIRST_PAIRS
    start = np.random.default_rng(0)
    while True:
        if found_values:
            # What is left below the cut converges slowly; to know that it is below takes little.
            values, _ = _lanczos(multiply, size, 1, start, CHECK_TOLERANCE)
            if values[0] * (1 + 2 * CHECK_TOLERANCE) < pinv_rcond * largest:
                break
        wanted = min(wanted, size - 1 - len(found))
        values, vectors = _lanczos(multiply, size, wanted, start)
        largest = max(largest, values[0])
        kept = int((values > pinv_rcond * largest).sum())
        new = torch.as_tensor(np.ascontiguousarray(vectors[:, :kept].T), device=train.h.device)
        # Against what was found before: rounding would otherwise grow with every search.
        new = torch.linalg.qr((new - new @ found.T @ found).T).Q.T if kept else new
        found = torch.cat([found, new])
        found_values += values[:kept].tolist()
        if kept == 0 or len(found) >= size - 1:
            break
        if len(found) > MOST_PAIRS:
            return None
        wanted = 2 * wanted if kept == len(values) else 2
    values = torch.tensor(found_values, dtype=torch.float64, device=train.h.device)
    order = values.argsort(descending=True)
    return values[order], found[order].view(-1, classes, width)


def _lanczos(
    multiply: Callable[[np.ndarray], np.ndarray],
    size: int,
    wanted: int,
    start: np.random.Generator,
    tolerance: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The `wanted` largest eigenvalues, descending, and eigenvectors [size, wanted] of a symmetric operator."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=multiply, dtype=np.float64)
    values, vectors = eigsh(operator, k=wanted, which="LA", v0=start.standard_normal(size), tol=tolerance)
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


def _primal(train: Head, query: Head, pinv_rcond: float, damping: float) -> torch.Tensor:
    """I through H in the space of sum-zero logits: [(C - 1)(P + 1)]^2."""
    basis = sum_zero_basis(train.p.shape[1], train.h.device)
    hessian = primal_hessian(train, basis)

    def gradients(head: Head) -> torch.Tensor:
        return torch.einsum("na,np->nap", head.r @ basis, head.h).reshape(len(head.h), -1)

    # The smaller set goes through the solver; of the other, no more than a block is ever there.
    few, many = (train, query) if len(train.h) <= len(query.h) else (query, train)
    if damping:
        hessian.diagonal().add_(damping)
        factor = torch.linalg.cholesky(hessian)
        solved = torch.cholesky_solve(gradients(few).T, factor)
    else:
        values, vectors = torch.linalg.eigh(hessian)
        del hessian
        kept = values > max(pinv_rcond, EPSILON * len(values)) * values[-1].clamp_min(0)
        values, vectors = values[kept], vectors[:, kept]
        solved = vectors @ ((vectors.T @ gradients(few).T) / values.unsqueeze(1))
    parts = [gradients(many[start : start + 256]) @ solved for start in range(0, len(many.h), 256)]
    influence = torch.cat(parts)
    return influence if many is query else influence.T


def primal_hessian(train: Head, basis: torch.Tensor) -> torch.Tensor:
    """H along a basis [C, C - 1] of the sum-zero logits: [(C - 1)(P + 1)]^2, block by block of class pairs."""
    # U^T (diag(p) - p p^T) U for each image, [n, C - 1, C - 1].
    curvature = torch.einsum("ca,ncb->nab", basis, train.apply_curvature(basis.expand(len(train.p), -1, -1)))
    dims, width = basis.shape[1], train.h.shape[1]
    hessian = torch.empty(dims * width, dims * width, dtype=torch.float64, device=train.h.device)
    for a in range(dims):
        for b in range(a + 1):
            block = (curvature[:, a, b, None] * train.h).T @ train.h
            hessian[a * width : (a + 1) * width, b * width : (b + 1) * width] = block
            hessian[b * width : (b + 1) * width, a * width : (a + 1) * width] = block.T
    return hessian


def _dual(train: Head, query: Head, pinv_rcond: float, damping: float) -> torch.Tensor:
    """I through the Gram matrix of H's factors: with H = M M^T, H^+ = M (M^T M)^+2 M^T; [n (C - 1)]^2."""
    factors = curvature_factors(train)  # [n, C, C - 1]
    n, _, dims = factors.shape

    def products(left: torch.Tensor, head: Head) -> torch.Tensor:
        """Inner products with M: left [m, C] holds the class part of vectors left (x) h; [m, n (C - 1)]."""
        return (torch.einsum("mc,nca->mna", left, factors) * (head.h @ train.h.T).unsqueeze(-1)).reshape(len(left), -1)

    gram = torch.empty(n * dims, n * dims, dtype=torch.float64, device=train.h.device)
    for a in range(dims):
        gram.view(n, dims, n * dims)[:, a] = products(factors[:, :, a], train)
    if damping:
        # (M M^T + d)^-1 = (1 - M (M^T M + d)^-1 M^T) / d
        gram.diagonal().add_(damping)
        factor = torch.linalg.cholesky(gram)
        solved = torch.cholesky_solve(products(train.r, train).T, factor)
        plain = (query.r @ train.r.T) * (query.h @ train.h.T)
        return (plain - _blocks(query, products, solved)) / damping
    values, vectors = torch.linalg.eigh(gram)
    del gram
    kept = values > max(pinv_rcond, EPSILON * len(values)) * values[-1].clamp_min(0)
    values, vectors = values[kept], vectors[:, kept]
    solved = vectors @ ((vectors.T @ products(train.r, train).T) / values.unsqueeze(1) ** 2)
    return _blocks(query, products, solved)


def _conjugate(train: Head, query: Head, damping: float) -> torch.Tensor:
    """I with (H + damping)^-1 by conjugate gradients for the smaller set's gradients, several at once; no matrix of H's size."""
    few, many = (train, query) if len(train.h) <= len(query.h) else (query, train)

    def curve(vectors: torch.Tensor) -> torch.Tensor:
        inner = train.apply_curvature(torch.einsum("np,kcp->nck", train.h, vectors))
        return torch.einsum("nck,np->kcp", inner, train.h) + damping * vectors

    parts = []
    for start in range(0, len(few.h), SYSTEMS):
        part = few[start : start + SYSTEMS]
        residual = torch.einsum("kc,kp->kcp", part.r, part.h)
        solved, direction = torch.zeros_like(residual), residual.clone()
        left = (residual * residual).sum((1, 2))
        enough = RESIDUAL**2 * left
        for _ in range(MOST_STEPS):
            open_ = left > enough
            if not open_.any():
                break
            product = curve(direction)
            step = torch.where(open_, left / (direction * product).sum((1, 2)), 0.0).view(-1, 1, 1)
            solved += step * direction
            residual -= step * product
            now = (residual * residual).sum((1, 2))
            direction = residual + torch.where(open_, now / left, 0.0).view(-1, 1, 1) * direction
            left = now
        parts.append(many.project(solved))
    influence = torch.cat(parts, 1)
    return influence if many is query else influence.T


def _blocks(query: Head, products, solved: torch.Tensor) -> torch.Tensor:
    parts = [query[start : start + 256] for start in range(0, len(query.h), 256)]
    return torch.cat([products(part.r, part) @ solved for part in parts])


def sum_zero_basis(classes: int, device: torch.device) -> torch.Tensor:
    """An orthonormal basis [C, C - 1] of the vectors whose entries sum to 0."""
    ones = torch.ones(classes, 1, dtype=torch.float64, device=device)
    return torch.linalg.qr(torch.cat([ones, torch.eye(classes, dtype=torch.float64, device=device)[:, 1:]], 1)).Q[:, 1:]


def curvature_factors(train: Head) -> torch.Tensor:
    """F_i [n, C, C - 1] with F_i F_i^T = diag(p_i) - p_i p_i^T = D (1 - s s^T) D, s = sqrt(p), D = diag(s): F = D `root_complement`."""
    return train.p.sqrt().unsqueeze(2) * root_complement(train)


def root_complement(train: Head) -> torch.Tensor:
    """An orthonormal basis [n, C, C - 1] of what is orthogonal to s_i = sqrt(p_i), a unit vector.

    It is the columns of a Householder reflection that takes a unit vector to s.
    """
    s = train.p.sqrt()
    classes = s.shape[1]
    # The reflection that exchanges s and -+e of the likeliest class; its other columns are the basis.
    likeliest = s.argmax(1)
    unit = torch.nn.functional.one_hot(likeliest, classes).to(s.dtype)
    v = s + unit
    reflections = torch.eye(classes, dtype=s.dtype, device=s.device) - 2 * torch.einsum("nc,nd->ncd", v, v) / (
        v * v
    ).sum(1).view(-1, 1, 1)
    columns = torch.arange(classes, device=s.device).expand(len(s), -1)
    others = columns[columns != likeliest.unsqueeze(1)].view(len(s), classes - 1)
    return reflections.gather(2, others.unsqueeze(1).expand(-1, classes, -1))
