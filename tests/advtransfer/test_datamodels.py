"""Heads retrained to their ridge optimum, against scikit-learn and autograd; the score, against scipy; influence, against retraining."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch.nn import functional

from advtransfer import datamodels
from advtransfer.datamodels import (
    agreement,
    datamodeling_score,
    draw_halves,
    fit_head,
    losses,
    measure,
    refit,
    retrain,
    rotate,
)
from advtransfer.errors import InputError
from advtransfer.influence import head_influence
from advtransfer.tables.influence import Influence, same_class

CPU = torch.device("cpu")


def clusters(n, seed, width=6, classes=3, spread=1.0, centres=0):
    """Features around a centre for each class, and labels, every class among the first ones."""
    middle = np.random.default_rng(centres).normal(size=(classes, width))
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), rng.integers(0, classes, n - classes)]
    return middle[labels] + spread * rng.normal(size=(n, width)), labels


@pytest.mark.parametrize("ridge", [1e-2, 1.0, 50.0])
@pytest.mark.parametrize("n", [5, 80])
def test_the_optimum_is_that_of_scikit_learn(n, ridge):
    """LogisticRegression minimises C sum of losses + |theta|^2 / 2: C is one over the ridge. 5 images: fewer than features."""
    from sklearn.linear_model import LogisticRegression

    x, y = clusters(n, 1)
    h, other = np.c_[x, np.ones(n)], clusters(20, 2)[0]
    theirs = LogisticRegression(C=1 / ridge, fit_intercept=False, solver="newton-cg", tol=1e-10, max_iter=10_000)
    theirs.fit(h, y)
    np.testing.assert_allclose(fit_head(h, y, 3, ridge), theirs.coef_, rtol=0, atol=1e-5)
    own, others = refit(x, y, other, 3, ridge)
    np.testing.assert_allclose(own, h @ theirs.coef_.T, rtol=0, atol=1e-4)
    np.testing.assert_allclose(others, np.c_[other, np.ones(20)] @ theirs.coef_.T, rtol=0, atol=1e-4)


@given(n=st.integers(3, 25), seed=st.integers(0, 999), power=st.floats(-3, 2), spread=st.floats(0.1, 5))
@settings(max_examples=30, deadline=None)
def test_the_gradient_vanishes_at_the_optimum_from_any_start(n, seed, power, spread):
    x, y = clusters(n, seed, spread=spread)
    h, ridge = np.c_[x, np.ones(n)], 10**power
    theta = torch.tensor(fit_head(h, y, 3, ridge), requires_grad=True)
    loss = functional.cross_entropy(torch.tensor(h) @ theta.T, torch.tensor(y), reduction="sum")
    (gradient,) = torch.autograd.grad(loss + ridge / 2 * (theta * theta).sum(), theta)
    assert gradient.abs().max() <= 2 * datamodels.TOLERANCE * np.linalg.norm(h, axis=1).max()
    start = np.random.default_rng(seed).normal(size=theta.shape)
    # Strong convexity: a gradient of g leaves no more than g / ridge.
    close = 10 * datamodels.TOLERANCE * np.linalg.norm(h, axis=1).max() * theta.numel() ** 0.5 / ridge
    np.testing.assert_allclose(fit_head(h, y, 3, ridge, start), theta.detach(), rtol=0, atol=close)


def test_losses_are_cross_entropies():
    x, y = clusters(9, 3)
    theta = np.random.default_rng(0).normal(size=(3, 6)) * 30
    expected = functional.cross_entropy(torch.tensor(x @ theta.T), torch.tensor(y), reduction="none")
    np.testing.assert_allclose(losses(theta, x, y), expected, rtol=1e-10, atol=1e-12)


def test_rotation_keeps_inner_products():
    x, other = clusters(4, 0)[0], clusters(7, 1)[0]
    rotated = rotate(x, other)
    assert rotated.train.shape == (4, 4)
    h, g = np.c_[x, np.ones(4)], np.c_[other, np.ones(7)]
    np.testing.assert_allclose(rotated.train @ rotated.train.T, h @ h.T, atol=1e-10)
    np.testing.assert_allclose(rotated.query @ rotated.train.T, g @ h.T, atol=1e-10)
    with pytest.raises(InputError, match="training images have 6 features, queries 5"):
        rotate(x, other[:, :5])


@given(images=st.integers(2, 60), count=st.integers(1, 20), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_halves_are_halves_and_the_first_ones_stay(images, count, seed):
    halves = draw_halves(images, count, seed)
    assert (halves.sum(1) == images // 2).all()
    assert (draw_halves(images, count + 3, seed)[:count] == halves).all()


def test_halves_are_uniform():
    """Each image lies in half of the halves, each pair in about a quarter: n / 2 (n / 2 - 1) / (n (n - 1))."""
    halves = draw_halves(10, 4000, 0).astype(float)
    together = halves.T @ halves / 4000
    assert np.abs(np.diag(together) - 0.5).max() < 5 * (0.25 / 4000) ** 0.5
    pairs = together[~np.eye(10, dtype=bool)]
    assert np.abs(pairs - 5 * 4 / 90).max() < 6 * (0.22 * 0.78 / 4000) ** 0.5


def test_the_score_is_scipys_rank_correlation():
    rng = np.random.default_rng(0)
    influence, subsets = rng.normal(size=(5, 12)), draw_halves(12, 30, 0)
    retrained = rng.normal(size=(30, 5))
    retrained[:, 1] = np.round(retrained[:, 1])  # ties
    expected = [spearmanr(-(subsets @ influence[query]), retrained[:, query]).statistic for query in range(5)]
    np.testing.assert_allclose(datamodeling_score(influence, subsets, retrained), expected, rtol=1e-12)
    # Influence that is right scores 1, the same with the wrong sign -1, and none at all 0.
    truth = -(subsets @ influence.T)
    np.testing.assert_allclose(datamodeling_score(influence, subsets, truth), 1)
    np.testing.assert_allclose(datamodeling_score(-influence, subsets, truth), -1)
    assert (datamodeling_score(0 * influence, subsets, truth) == 0).all()


def test_agreement_is_that_of_figure_8():
    rng = np.random.default_rng(0)
    values, labels, own = rng.normal(size=(20, 130)), rng.integers(0, 3, 130), rng.integers(0, 3, 20)
    table = Influence(values, own, np.arange(20), labels, np.arange(130), ["a", "b", "c"], "test")
    hits = same_class(table, "excluded")
    found = agreement(values, labels, own)
    assert found["top1"] == pytest.approx(hits[:, 0].mean())
    assert found["three_of_top5"] == pytest.approx((hits[:, :5].sum(1) >= 3).mean())
    assert found["same_class"] == pytest.approx(hits.mean())
    assert hits.shape[1] == datamodels.RANKS


def test_influence_of_the_refitted_head_is_what_leaving_an_image_out_does():
    """For each of 60 images: the head is retrained without it. Influence is the first order of that change."""
    (x, y), (other, yt) = clusters(60, 1), clusters(15, 2)
    ridge = 10.0
    own, others = refit(x, y, other, 3, ridge)
    influence = head_influence(x, own, y, other, others, yt, damping=ridge)
    rotated = rotate(x, other)
    whole = retrain(rotated, y, yt, 3, ridge, np.ones((1, 60), dtype=bool))[0]
    change = retrain(rotated, y, yt, 3, ridge, ~np.eye(60, dtype=bool)) - whole
    assert np.corrcoef(change.T.ravel(), influence.ravel())[0, 1] > 0.99
    assert spearmanr(change.T.ravel(), influence.ravel()).statistic > 0.99


def fine_tuned(n=40, queries=25):
    """A head that a few steps of gradient descent from large random weights made: saturated and no optimum."""
    (x, y), (other, yt) = clusters(n, 1), clusters(queries, 2)
    theta = 4 * np.random.default_rng(0).normal(size=(3, 7))
    h, g = np.c_[x, np.ones(n)], np.c_[other, np.ones(queries)]
    for _ in range(200):
        p = np.exp(h @ theta.T - (h @ theta.T).max(1, keepdims=True))
        theta -= 0.02 * (p / p.sum(1, keepdims=True) - np.eye(3)[y]).T @ h
    return (x, h @ theta.T, y), (other, g @ theta.T, yt)


def test_rows_are_what_each_inverse_alone_gives_and_the_exact_one_predicts_best():
    train, query = fine_tuned()
    ridge, cuts, dampings = 0.5, [5e-2, 1e-6], [1e-2, 0.5, 50.0]
    subsets = draw_halves(40, 60, 0)
    rows = list(measure(train, query, ridge, cuts, dampings, subsets, CPU))
    assert len(rows) == 2 * (2 + 3) + 3 + 2
    table = {(row["head"], row["inverse"], row["level"]): row for row in rows}
    retrained = retrain(rotate(train[0], query[0]), train[2], query[2], 3, ridge, subsets)

    def alone(train, query, **inverse):
        influence = head_influence(*train, *query, **inverse)
        return datamodeling_score(influence, subsets, retrained).mean(), agreement(influence, train[2], query[2])

    own, others = refit(train[0], train[2], query[0], 3, ridge)
    refitted = (train[0], own, train[2]), (query[0], others, query[2])
    for head, pair, inverse, level, asked in (
        ("fine_tuned", (train, query), "cut", 5e-2, {"pinv_rcond": 5e-2}),
        ("fine_tuned", (train, query), "damping", 0.5, {"damping": 0.5}),
        ("refitted", refitted, "damping", 0.5, {"damping": 0.5}),
        ("refitted", refitted, "damping", 50.0, {"damping": 50.0}),
    ):
        row = table[head, inverse, level]
        score, shares = alone(*pair, **asked)
        assert row["score"] == pytest.approx(score, abs=0.02)
        assert {name: row[name] for name in shares} == pytest.approx(shares, abs=0.05)
    # The cut of the refitted head is that of the Hessian with its ridge: nothing lies below 1e-6 of the largest.
    assert table["refitted", "cut", 1e-6]["score"] == pytest.approx(
        table["refitted", "damping", 0.5]["score"], abs=1e-9
    )
    best = np.nanmax([row["score"] for row in rows])
    assert table["refitted", "damping", 0.5]["score"] == pytest.approx(best, abs=0.05)
    assert table["refitted", "damping", 0.5]["score"] > 0.85
    assert table["fine_tuned", "cut", 5e-2]["score"] < 0.8
    assert table["refitted", "ridge", 0.5]["loss"] == pytest.approx(
        float(functional.cross_entropy(torch.tensor(others), torch.tensor(query[2])))
    )
    for head, (ours, theirs) in (("fine_tuned", (train, query)), ("refitted", refitted)):
        row, z = table[head, "none", 0.0], torch.tensor(theirs[1])
        assert row["loss"] == pytest.approx(float(functional.cross_entropy(z, torch.tensor(theirs[2]))))
        assert row["accuracy"] == pytest.approx((theirs[1].argmax(1) == theirs[2]).mean())
        p = torch.softmax(torch.tensor(ours[1]), 1)[torch.arange(40), torch.tensor(ours[2])]
        assert 10 ** row["residual_log10"] == pytest.approx(np.median(1 - p), rel=1e-6)


def test_certainty_is_counted_where_1_less_p_rounds_to_0():
    """With logits 100 nats apart 1 - p is e^-100, which 1 - softmax does not show."""
    (features, _, labels), query = fine_tuned()
    logits = 100.0 * np.eye(3)[labels]
    rows = measure((features, logits, labels), query, 0.5, [5e-2], [], draw_halves(40, 3, 0), CPU)
    assert next(rows)["residual_log10"] == pytest.approx(np.log10(2 * np.exp(-100.0)))


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_without_a_ridge_there_is_no_optimum(ridge):
    x, y = clusters(8, 0)
    with pytest.raises(InputError, match=r"influence\.ridge: found .* Give a number above 0"):
        fit_head(x, y, 3, ridge)


def test_what_is_not_solved_is_refused(monkeypatch):
    monkeypatch.setattr(datamodels, "MOST_ITERATIONS", 2)
    monkeypatch.setattr(datamodels, "NEWTON_STEPS", 0)
    x, y = clusters(40, 0)
    with pytest.raises(
        InputError, match=r"found 0\.001, at which the head on 40 images is not solved after [12] steps"
    ):
        fit_head(100 * x, y, 3, 1e-3)
