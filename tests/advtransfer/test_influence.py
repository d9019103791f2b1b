"""Head influence against autograd, against captum, and against retraining without an image."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import spearmanr
from torch.nn import functional

from advtransfer import influence
from advtransfer.errors import InputError
from advtransfer.influence import head_influence, leading_eigenpairs, read_head

METHODS = ["lanczos", "primal", "dual", "auto"]


def images(n: int, scale: float = 1.0, seed: int = 0, features: int = 4, classes: int = 3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)), scale * rng.normal(size=(n, classes)), rng.integers(0, classes, n)


def by_autograd(train, query, invert) -> np.ndarray:
    """Influence through a Hessian that autograd builds of the summed loss: [queries, training images].

    Logits are the head's own at theta, plus an offset for each image that makes them what was given.
    """
    (f, z, y), (ft, zt, yt) = ([torch.as_tensor(array) for array in part] for part in (train, query))
    shape = z.shape[1], f.shape[1] + 1

    def losses(theta, f, z, y):
        h = torch.cat([f, torch.ones(len(f), 1, dtype=f.dtype)], 1)
        return functional.cross_entropy(z + h @ theta.view(shape).T, y, reduction="none")

    zero = torch.zeros(shape[0] * shape[1], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda theta: losses(theta, f, z, y).sum(), zero)
    own = torch.autograd.functional.jacobian(lambda theta: losses(theta, f, z, y), zero)
    others = torch.autograd.functional.jacobian(lambda theta: losses(theta, ft, zt, yt), zero)
    return (others @ invert(hessian) @ own.T).numpy()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cut", [5e-2, 1e-20])
@pytest.mark.parametrize(("n", "scale"), [(30, 0.1), (30, 3.0), (4, 1.0)])
def test_equals_autograd_and_the_pseudo_inverse(method, cut, n, scale):
    """n = 4: fewer images than parameters, so that the dual problem is the smaller one."""
    train, query = images(n, scale), images(7, scale, seed=1)
    # Below this share of the largest, numpy's eigenvalues are rounding, which the paper's 1e-20 would invert.
    cut_there = max(cut, 1e-13)
    expected = by_autograd(train, query, lambda h: torch.linalg.pinv(h, rtol=cut_there, hermitian=True))
    found = head_influence(*train, *query, pinv_rcond=cut, method=method)
    assert found.shape == (7, n)
    assert np.abs(found - expected).max() <= 1e-8 * np.abs(expected).max()


@pytest.mark.parametrize("method", ["primal", "dual", "auto", "conjugate"])
@pytest.mark.parametrize("queries", [5, 90])
def test_damping_equals_the_damped_inverse(method, queries):
    train, query = images(20), images(queries, seed=1)
    expected = by_autograd(train, query, lambda h: torch.linalg.inv(h + 0.3 * torch.eye(len(h), dtype=h.dtype)))
    found = head_influence(*train, *query, damping=0.3, method=method)
    assert np.abs(found - expected).max() <= 1e-8 * np.abs(expected).max()


def test_large_damped_problems_are_solved_without_their_matrix(monkeypatch):
    train, query = images(40), images(6, seed=1)
    expected = head_influence(*train, *query, damping=0.01)
    monkeypatch.setattr(influence, "LARGEST_FACTORISED", 1)
    monkeypatch.setattr(influence, "_primal", None)
    found = head_influence(*train, *query, damping=0.01)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_every_eigenvalue_above_the_cut_is_found():
    """Two identical halves of the features: eigenvalues come in copies, which Lanczos likes to overlook."""
    f, z, y = images(60, 0.01, features=6, classes=5)
    f = np.concatenate([f[:30], -f[:30]])
    z = np.zeros_like(z)
    head = read_head(f, z, y, torch.device("cpu"), "training")
    identity = torch.eye(35, dtype=torch.float64).view(35, 5, 7)
    dense = torch.stack([(head.apply_curvature(head.h @ unit.T).T @ head.h).reshape(-1) for unit in identity])
    expected = torch.linalg.eigvalsh(dense).flip(0)
    for cut in (0.5, 5e-2, 1e-3):
        values, vectors = leading_eigenpairs(head, cut)
        wanted = expected[expected > cut * expected[0]]
        assert len(values) == len(wanted)
        torch.testing.assert_close(values, wanted)
        flat = vectors.reshape(len(values), -1)
        torch.testing.assert_close(dense @ flat.T, flat.T * values)


def test_permuted_training_rows_permute_the_columns_and_nothing_else():
    (f, z, y), query = images(40), images(6, seed=1)
    order = np.random.default_rng(5).permutation(40)
    whole = head_influence(f, z, y, *query)
    moved = head_influence(f[order], z[order], y[order], *query)
    np.testing.assert_allclose(moved, whole[:, order], rtol=0, atol=1e-10 * np.abs(whole).max())


def test_identical_images_have_identical_rows_and_columns():
    (f, z, y), (ft, zt, yt) = images(20), images(5, seed=1)
    f[7], z[7], y[7] = f[3], z[3], y[3]
    ft[4], zt[4], yt[4] = ft[0], zt[0], yt[0]
    found = head_influence(f, z, y, ft, zt, yt)
    np.testing.assert_allclose(found[4], found[0], rtol=1e-12)
    np.testing.assert_allclose(found[:, 7], found[:, 3], rtol=1e-12)


def test_an_image_helps_itself():
    train = images(30)
    assert (np.diag(head_influence(*train, *train)) >= 0).all()


@pytest.mark.parametrize("margin", [5, 40, 200])
def test_saturated_probabilities_keep_their_digits(margin):
    """Two classes: everything is known in closed form. H = q sum h h^T, r = +-(probability of the other class)."""
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(12, 3)), rng.integers(0, 2, 12)
    z = margin * np.eye(2)[y]
    found = head_influence(f, z, y, f, z, y, pinv_rcond=1e-9)
    other = 1 / (1 + np.exp(float(margin)))
    q, h = other * (1 - other), np.c_[f, np.ones(12)]
    sign = 2 * y - 1
    # The sum-zero direction is (1, -1) / sqrt(2): H acts there as 2 q sum h h^T, r has length sqrt(2) other.
    expected = other**2 * np.outer(sign, sign) * (h @ np.linalg.inv(q * h.T @ h) @ h.T)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_agrees_with_captum(tmp_path):
    """captum's exact influence function, over a head in float64 whose Hessian it builds by autograd."""
    from captum.influence._core.influence_function import NaiveInfluenceFunction
    from torch.utils.data import TensorDataset

    torch.manual_seed(0)
    head = torch.nn.Linear(4, 3, dtype=torch.float64)
    torch.save(head.state_dict(), tmp_path / "head.pt")
    (f, _, y), (ft, _, yt) = images(20), images(5, seed=1)
    with torch.no_grad():
        z, zt = (head(torch.as_tensor(part)).numpy() for part in (f, ft))
    theirs = NaiveInfluenceFunction(
        head,
        TensorDataset(torch.as_tensor(f), torch.as_tensor(y)),
        str(tmp_path / "head.pt"),
        loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"),
        batch_size=7,
        projection_dim=15,
        hessian_reg=0.0,
        hessian_inverse_tol=1e-10,
        sample_wise_grads_per_batch=True,
    ).influence((torch.as_tensor(ft), torch.as_tensor(yt)))
    mine = head_influence(f, z, y, ft, zt, yt, pinv_rcond=1e-10)
    np.testing.assert_allclose(mine, theirs.numpy(), rtol=0, atol=1e-8 * np.abs(mine).max())


def test_agrees_with_retraining_without_an_image():
    """Leave one out of an L2-regularised head, retrain it to the end: the change of each query's loss."""
    rng = np.random.default_rng(0)
    classes, width, strength = 3, 5, 0.5
    centres = rng.normal(size=(classes, width - 1))
    y, yt = rng.integers(0, classes, 60), rng.integers(0, classes, 10)
    h, ht = (
        np.c_[centres[labels] + rng.normal(size=(len(labels), width - 1)), np.ones(len(labels))] for labels in (y, yt)
    )

    def train(weights):
        def objective(flat):
            theta = flat.reshape(classes, width)
            z = h @ theta.T
            log_p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
            r = np.exp(log_p) - np.eye(classes)[y]
            loss = -(weights * log_p[np.arange(60), y]).sum() + strength / 2 * flat @ flat
            return loss, ((weights[:, None] * r).T @ h).ravel() + strength * flat

        return minimize(objective, np.zeros(classes * width), jac=True, method="L-BFGS-B", tol=1e-14).x.reshape(
            classes, width
        )

    def losses(theta):
        z = ht @ theta.T
        return np.logaddexp.reduce(z, axis=1) - z[np.arange(10), yt]

    theta = train(np.ones(60))
    found = head_influence(h[:, :-1], h @ theta.T, y, ht[:, :-1], ht @ theta.T, yt, damping=strength)
    change = np.stack([losses(train(np.arange(60) != left)) - losses(theta) for left in range(60)], 1)
    assert spearmanr(found.ravel(), change.ravel()).statistic > 0.95
    assert np.corrcoef(found.ravel(), change.ravel())[0, 1] > 0.95


def test_no_curvature_means_no_influence():
    f, z, y = images(5)
    found = head_influence(f, 1e4 * np.eye(3)[y], y, f, z, y)
    np.testing.assert_array_equal(found, np.zeros((5, 5)))


def test_too_many_pairs_are_left_to_the_dense_way(monkeypatch):
    monkeypatch.setattr(influence, "MOST_PAIRS", 3)
    monkeypatch.setattr(influence, "FIRST_PAIRS", 2)
    train, query = images(30), images(4, seed=1)
    assert leading_eigenpairs(read_head(*train, torch.device("cpu"), "training"), 1e-2) is None
    found = head_influence(*train, *query, pinv_rcond=1e-2)
    np.testing.assert_allclose(found, head_influence(*train, *query, pinv_rcond=1e-2, method="dual"), rtol=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, z, y: (f[:3], z, y), r"training features \[3, 4\], logits \[5, 3\], labels \[5\]\. Give"),
        (lambda f, z, y: (f, z, y + 3), r"training labels lie in .*3 classes\. Give labels from 0"),
        (lambda f, z, y: (f * np.nan, z, y), "NaN or infinite values. Check the network"),
        (lambda f, z, y: (f[:, :2], z, y), "training images have 2 features and 3 classes, queries 4 and 3"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        head_influence(*change(*images(5)), *images(2))
    with pytest.raises(InputError, match="Give numbers from 0"):
        head_influence(*images(5), *images(2), pinv_rcond=-1)
