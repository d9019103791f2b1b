"""The spectrum of a head's Hessian: every inverse equals the one that is computed alone, and autograd's."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from advtransfer import spectrum as module
from advtransfer.errors import InputError
from advtransfer.influence import head_influence, read_head
from advtransfer.spectrum import spectrum

CPU = torch.device("cpu")


def images(n, scale=1.0, seed=0, features=4, classes=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)), scale * rng.normal(size=(n, classes)), rng.integers(0, classes, n)


def decomposed(train, query):
    return spectrum(read_head(*train, CPU, "training"), read_head(*query, CPU, "query"))


@pytest.fixture(params=["factor", "hessian"])
def way(request, monkeypatch):
    """Both decompositions: of M, and of H where M is large."""
    if request.param == "hessian":
        monkeypatch.setattr(module, "LARGEST_FACTOR", 0)
    return request.param


@pytest.mark.parametrize(("n", "scale"), [(30, 0.1), (30, 3.0), (3, 1.0)])
@pytest.mark.parametrize("cut", [0.5, 5e-2, 1e-3, 1e-8])
def test_a_cut_equals_the_matrix_computed_alone(way, n, scale, cut):
    train, query = images(n, scale), images(7, scale, seed=1)
    expected = head_influence(*train, *query, pinv_rcond=cut, method="primal")
    np.testing.assert_allclose(
        decomposed(train, query).cut(cut).numpy(), expected, rtol=0, atol=1e-8 * np.abs(expected).max()
    )


@pytest.mark.parametrize("damping", [1e-2, 0.3, 10])
@pytest.mark.parametrize("n", [30, 3])
def test_a_damping_equals_the_matrix_computed_alone(way, n, damping):
    train, query = images(n), images(7, seed=1)
    expected = head_influence(*train, *query, damping=damping)
    np.testing.assert_allclose(
        decomposed(train, query).damped(damping).numpy(), expected, rtol=0, atol=1e-8 * np.abs(expected).max()
    )


def by_autograd(train, query, ridge):
    """Influence and eigenvalues of the Hessian of the summed loss and a ridge, from autograd."""
    (f, z, y), (ft, zt, yt) = ([torch.as_tensor(array) for array in part] for part in (train, query))
    shape = z.shape[1], f.shape[1] + 1

    def losses(theta, f, z, y):
        h = torch.cat([f, torch.ones(len(f), 1, dtype=f.dtype)], 1)
        return functional.cross_entropy(z + h @ theta.view(shape).T, y, reduction="none")

    zero = torch.zeros(shape[0] * shape[1], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(
        lambda theta: losses(theta, f, z, y).sum() + ridge / 2 * theta @ theta, zero
    )
    own = torch.autograd.functional.jacobian(lambda theta: losses(theta, f, z, y), zero)
    others = torch.autograd.functional.jacobian(lambda theta: losses(theta, ft, zt, yt), zero)
    return (others @ torch.linalg.solve(hessian, own.T)).numpy(), torch.linalg.eigvalsh(hessian).flip(0)


@given(
    n=st.integers(2, 12),
    features=st.integers(1, 5),
    classes=st.integers(2, 4),
    scale=st.floats(0.1, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_with_its_ridge_nothing_is_cut_and_autograd_agrees(n, features, classes, scale, seed):
    train = images(n, scale, seed, features, classes)
    query = images(4, scale, seed + 1, features, classes)
    whole, ridge = decomposed(train, query), 0.5
    expected, eigenvalues = by_autograd(train, query, ridge)
    top = float(np.abs(expected).max()) + 1e-12
    np.testing.assert_allclose(whole.damped(ridge).numpy(), expected, rtol=0, atol=1e-8 * top)
    np.testing.assert_allclose(whole.cut(1e-20, ridge).numpy(), expected, rtol=0, atol=1e-8 * top)
    assert whole.kept(1e-20, ridge).all()
    together = whole.values + ridge
    np.testing.assert_allclose(together, eigenvalues[: len(together)], rtol=1e-8, atol=1e-8)


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 20))
@settings(max_examples=25, deadline=None)
def test_a_lower_cut_keeps_all_that_a_higher_one_keeps(seed, scale):
    whole = decomposed(images(10, scale, seed), images(3, scale, seed + 1))
    kept = [whole.kept(cut) for cut in (0.5, 5e-2, 1e-4, 1e-8, 1e-20)]
    for fewer, more in itertools.pairwise(kept):
        assert (more | ~fewer).all()
    assert bool(kept[0][0])
    assert (whole.values.diff() <= 0).all()


def test_small_curvature_keeps_its_digits_where_the_hessian_has_lost_them():
    """Two classes, independent features: the curvature of each image is of the order of q = p (1 - p).

    The second image's is 4e-19 of the first one's, below what float64 holds of H; the paper's cut of 1e-20 keeps it.
    """
    f = np.array([[1.0, 0.0], [0.0, 1.0]])
    margins = np.array([1.0, 44.0])
    z = np.stack([margins / 2, -margins / 2], 1)
    y = np.array([0, 0])
    other = 1 / (1 + np.exp(margins))
    q = other * (1 - other)
    # H = 2 K diag(q) K^T along the sum-zero direction, with independent h: I = r diag(1 / q) r.
    expected = np.diag(other**2 / q)
    head = read_head(f, z, y, CPU, "training")
    found = spectrum(head, head).cut(1e-20)
    np.testing.assert_allclose(np.diag(found), np.diag(expected), rtol=1e-6)
    assert int(spectrum(head, head).kept(1e-20).sum()) == 2
    assert int(spectrum(head, head).kept(1e-12).sum()) == 1
    alone = head_influence(f, z, y, f, z, y, pinv_rcond=1e-20, method="dual")
    assert abs(alone[1, 1] - expected[1, 1]) > 0.5 * expected[1, 1]


def test_what_is_too_large_is_one_line(monkeypatch):
    monkeypatch.setattr(module, "LARGEST_HESSIAN", 9)
    with pytest.raises(
        InputError,
        match=r"on 30 images and 3 classes are those of a matrix of 10 rows, at most 9 .* Choose fewer images",
    ):
        decomposed(images(30), images(2))


def test_no_curvature_means_no_influence():
    f, _, y = images(5)
    head = read_head(f, 1e4 * np.eye(3)[y], y, CPU, "training")
    assert not spectrum(head, head).cut(1e-20).any()


def test_a_label_without_any_probability_is_no_error():
    """exp(-2000) is 0: the image has a gradient and no curvature, and other images have both."""
    f, z, y = images(6)
    z[0] = -2000 * np.eye(3)[y[0]]
    head = read_head(f, z, y, CPU, "training")
    assert torch.isfinite(spectrum(head, head).cut(1e-8)).all()
