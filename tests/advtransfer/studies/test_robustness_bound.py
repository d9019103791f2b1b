"""The bound and the criterion hold for all inputs and fail where they must; what is measured is worst over all points."""

import copy
import decimal
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.augmentation import to_unit
from advtransfer.config.columns import BOUND_ROWS
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build
from advtransfer.studies import robustness_bound as study
from advtransfer.studies.robustness_bound import (
    Worst,
    boundary_distance,
    criterion_met,
    cross_entropy,
    displacement,
    epsilons_at,
    logits_of,
    loss_bound,
    measure,
    rounding,
    row_loss_bound,
    same_representation,
    spectral_loss_bound,
    squared_error_bound,
    weight_distance,
)

CPU = torch.device("cpu")
# Scales of features, of their displacement and of weights, from tiny to far beyond what networks have.
SCALES = st.sampled_from([1e-6, 1e-2, 1.0, 30.0, 1e3])

BOOLEANS = st.booleans()


@st.composite
def heads(draw, scales=SCALES, equal=BOOLEANS):
    """A head, features of some images and of a point near each, labels: float32 features as networks give them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, p, k = 8, draw(st.integers(1, 12)), draw(st.integers(2, 6))
    weight = (draw(scales) * rng.normal(size=(k, p))).astype(np.float32)
    if draw(equal):
        weight[-1] = weight[0]  # classes that the features do not tell apart
    bias = (draw(scales) * rng.normal(size=k)).astype(np.float32)
    features = draw(scales) * rng.normal(size=(n, p))
    moved = features + draw(scales) * rng.normal(size=(n, p))
    labels = rng.integers(k, size=n)
    return weight, bias, features.astype(np.float32), moved.astype(np.float32), labels


def sides(head):
    """Loss gaps [n], displacements [n], and what rounding may do [n]."""
    weight, bias, features, moved, labels = head
    gap = cross_entropy(logits_of(moved, weight, bias), labels) - cross_entropy(
        logits_of(features, weight, bias), labels
    )
    slack = rounding(features, weight, bias) + rounding(moved, weight, bias)
    return gap, displacement(features, moved), slack


@given(heads())
@settings(max_examples=400, deadline=None)
def test_the_loss_moves_by_no_more_than_its_bound(head):
    """|loss(x') - loss(x)| <= D_y s <= both looser bounds, for any head, features and displacement, up or down."""
    weight, _, _, _, labels = head
    gap, moved, slack = sides(head)
    bound = loss_bound(weight, labels, moved)
    assert (np.abs(gap) <= bound + slack).all()
    assert (bound <= spectral_loss_bound(weight, moved) * (1 + 1e-9)).all()
    assert (bound <= row_loss_bound(weight, moved) * (1 + 1e-9)).all()


def test_the_displacement_alone_bounds_nothing():
    """Negative control: without the head's D_y, "the gap is at most s" fails for a head of large weights, nearly everywhere."""
    rng = np.random.default_rng(0)
    features, moved = (rng.normal(size=(500, 10)).astype(np.float32) for _ in range(2))
    labels = rng.integers(4, size=500)
    for scale, expected in ((20.0, 0.8), (0.01, 0.0)):
        head = (scale * rng.normal(size=(4, 10)), np.zeros(4), features, moved, labels)
        gap, s, _ = sides(head)
        assert (gap > s).mean() == pytest.approx(expected, abs=0.45 if expected else 0)
        assert (np.abs(gap) <= loss_bound(head[0], labels, s) + 1e-9).all()


def test_the_bound_is_attained():
    """Deep in the wrong class the loss is the margin, and a step along W_j - W_y raises it by D_y s: no smaller constant would do."""
    weight, labels = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([0])
    features = np.array([[30.0, 40.0]])
    moved = features + 0.5 * np.array([[0.6, 0.8]])
    gap, s, _ = sides((weight, np.zeros(2), features, moved, labels))
    assert gap[0] == pytest.approx(loss_bound(weight, labels, s)[0], rel=1e-12)
    assert s[0] == pytest.approx(0.5)


@given(heads(), SCALES)
@settings(max_examples=200, deadline=None)
def test_squared_error_moves_by_no_more_than_its_bound(head, scale):
    weight, bias, features, moved, labels = head
    truth = scale * np.random.default_rng(labels.sum()).normal(size=(len(labels), len(weight)))
    errors, errors_adv = (logits_of(some, weight, bias) - truth for some in (features, moved))
    gap = (errors_adv**2).sum(1) - (errors**2).sum(1)
    slack = (rounding(features, weight, bias) + rounding(moved, weight, bias)) * (
        1 + np.abs(errors).sum(1) + np.abs(errors_adv).sum(1)
    )
    assert (np.abs(gap) <= squared_error_bound(errors, errors_adv, weight, displacement(features, moved)) + slack).all()


@given(heads())
@settings(max_examples=300, deadline=None)
def test_where_the_criterion_is_met_no_point_as_near_has_another_class(head):
    weight, bias, features, moved, _ = head
    logits = logits_of(features, weight, bias)
    classes, s = logits.argmax(1), displacement(features, moved)
    slack = 2 * np.maximum(rounding(features, weight, bias), rounding(moved, weight, bias))
    met = criterion_met(logits, weight, classes, s, slack)
    assert not (met & (logits_of(moved, weight, bias).argmax(1) != classes)).any()
    # Without slack it is s < rho, but for ties that rounding decides.
    rho = boundary_distance(logits, weight, classes)
    apart = ~np.isclose(s, rho, rtol=1e-9, atol=0)
    assert (criterion_met(logits, weight, classes, s)[apart] == (s < rho)[apart]).all()


@given(heads())
@settings(max_examples=200, deadline=None)
def test_the_boundary_is_where_it_is_said_to_be(head):
    """Brute force: along the straight way to each other class, the prediction changes just behind rho and not before it."""
    weight, bias, features, _, _ = head
    weight, bias = weight.astype(np.float64), bias.astype(np.float64)
    logits = logits_of(features, weight, bias)
    classes = logits.argmax(1)
    rho = boundary_distance(logits, weight, classes)
    for image, c in enumerate(classes):
        reached = []
        for j in range(len(weight)):
            direction = weight[j] - weight[c]
            length = np.linalg.norm(direction)
            if j == c or length == 0:
                continue
            reached.append((logits[image, c] - logits[image, j]) / length)
            far = 1e-6 * (1 + np.abs(features[image]).max())
            for shift, changes in ((reached[-1] + far, True), (max(0.0, rho[image] - far), False)):
                z = logits_of((features[image] + shift * direction / length)[None], weight, bias)[0]
                tie = 1e-6 * (np.abs(z).max() + 1)
                assert (z[j] >= z[c] - tie) if changes else (z[c] >= z.max() - tie)
        if reached:
            assert rho[image] <= min(reached) * (1 + 1e-12)


def test_equal_rows():
    """Classes that only the bias tells apart have no boundary between them; equal ones lie on it everywhere."""
    weight = np.array([[1.0, 2.0], [1.0, 2.0]])
    for bias, expected in (([1.0, 0.0], np.inf), ([0.0, 0.0], 0.0)):
        logits = logits_of(np.ones((1, 2)), weight, np.array(bias))
        assert boundary_distance(logits, weight, np.array([0]))[0] == expected
    assert boundary_distance(np.zeros((1, 1)), np.ones((1, 2)), np.array([0]))[0] == np.inf


@given(heads())
@settings(max_examples=50, deadline=None)
def test_the_margin_is_signed(head):
    """Of a class that is not predicted rho is at most 0: misclassified images never pass for safe."""
    weight, bias, features, _, labels = head
    logits = logits_of(features, weight, bias)
    wrong = logits.argmax(1) != labels
    assert (boundary_distance(logits, weight, labels)[wrong] <= 0).all()
    assert not criterion_met(logits, weight, labels, np.zeros(len(labels)))[wrong].any()


@given(heads(scales=st.just(1.0), equal=st.just(False)), st.floats(-50, 50), st.integers(-20, 20))
@settings(max_examples=200, deadline=None)
def test_invariance(head, shift, exponent):
    """b + c; a row added to all rows of W; features times a factor with W divided by it: the same losses, bounds and answers."""
    weight, bias, features, moved, labels = (some.astype(np.float64) for some in head)
    labels, factor = labels.astype(int), 2.0**exponent
    row = np.linspace(-1, 1, weight.shape[1])

    def facts(weight, bias, features, moved, factor=1.0):
        logits, s = logits_of(features, weight, bias), displacement(features, moved)
        gap = sides((weight, bias, features, moved, labels))[0]
        return gap, loss_bound(weight, labels, s), s / factor, boundary_distance(logits, weight, labels) / factor

    here = facts(weight, bias, features, moved)
    # Rows of W may lie near each other, and rho is a margin over their distance: what rounding leaves of it.
    distances = study.row_distances(weight)
    nearest = distances[~np.eye(len(weight), dtype=bool)].min()
    for other in (facts(weight, bias + shift, features, moved), facts(weight + row, bias, features, moved)):
        np.testing.assert_allclose(other[0], here[0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(other[1], here[1], rtol=1e-12 * (1 + 1 / nearest), atol=1e-12)
        np.testing.assert_array_equal(other[2], here[2])
        np.testing.assert_allclose(other[3], here[3], rtol=1e-10 / nearest, atol=1e-10 / nearest)
    # A power of two rounds nothing.
    for one, same in zip(facts(weight / factor, bias, factor * features, factor * moved, factor), here, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-14, atol=1e-14)


@given(heads())
@settings(max_examples=60, deadline=None)
def test_rounding_is_above_what_rounding_does(head):
    """Against arithmetic of 80 digits."""
    weight, bias, features, _, labels = head
    with decimal.localcontext() as context:
        context.prec = 80
        context.Emax, context.Emin = decimal.MAX_EMAX, decimal.MIN_EMIN
        exact = []
        for vector, label in zip(features, labels, strict=True):
            z = [
                sum(
                    (decimal.Decimal(float(a)) * decimal.Decimal(float(b)) for a, b in zip(row, vector, strict=True)),
                    start=decimal.Decimal(float(c)),
                )
                for row, c in zip(weight, bias, strict=True)
            ]
            highest = max(z)
            exact.append(sum((value - highest).exp() for value in z).ln() + highest - z[label])
        computed = cross_entropy(logits_of(features, weight, bias), labels)
        errors = [abs(float(decimal.Decimal(float(a)) - b)) for a, b in zip(computed, exact, strict=True)]
    assert (np.array(errors) <= rounding(features, weight, bias)).all()


@given(heads())
@settings(max_examples=50, deadline=None)
def test_cross_entropy_is_torchs_and_its_gradient_is_at_most_d_y(head):
    """An independent way to the constant: autograd's gradient of the loss in the features, anywhere."""
    weight, bias, features, _, labels = head
    f = torch.tensor(features, dtype=torch.float64, requires_grad=True)
    logits = f @ torch.tensor(weight, dtype=torch.float64).T + torch.tensor(bias, dtype=torch.float64)
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
    np.testing.assert_allclose(
        cross_entropy(logits_of(features, weight, bias), labels),
        losses.detach(),
        rtol=1e-9,
        atol=float(rounding(features, weight, bias).max()),
    )
    (gradient,) = torch.autograd.grad(losses.sum(), f)
    longest = np.linalg.norm(weight.astype(np.float64), axis=1).max()
    assert (gradient.norm(dim=1).numpy() <= weight_distance(weight)[labels] + 1e-9 * longest).all()


# ---------------------------------------------------------------------------------------------------------- measurement


@pytest.fixture(scope="module")
def model():
    """A small network whose representation varies, with a head of three classes."""
    torch.manual_seed(0)
    shape = {"layers": [1], "width": 0.125, "stem": "cifar", "classes": 3}
    made = build({**shape, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}).eval()
    with torch.no_grad():
        # Large weights, and no class ahead of the others on average.
        made.network.fc.weight.mul_(8)
        made.network.fc.bias -= made(to_unit(IMAGES, 8)).mean(0)
    return made


def other_head(model):
    made = copy.deepcopy(model)
    torch.manual_seed(1)
    torch.nn.init.normal_(made.network.fc.weight)
    return made


IMAGES = torch.randint(0, 256, (6, 3, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
IDS = torch.arange(6) * 3
ATTACK = {
    "norm": "linf",
    "epsilons": [[64, [0.01, 0.03, 0.06]], [10**9, [0.001]]],
    "steps": 3,
    "restarts": 1,
    "seed": 0,
}


def measured(models, **changes):
    return list(measure(iter(models), IMAGES, LABELS, IDS, 8, {**ATTACK, **changes}, CPU))


def test_every_column_is_there(model):
    parts = measured([(7, model)])
    assert [part["epsilon"] for part in parts] == [0.01, 0.03, 0.06]
    identity = {"target", "source", "blocks", "images"}
    for part in parts:
        assert set(part) | identity == set(BOUND_ROWS)
        assert part["seed"] == 7
        assert part["image_id"].tolist() == IDS.tolist()
        assert not part["violated"].any()
        assert not (part["met"] & part["flipped"]).any()
        assert (part["loss_adv"] >= part["loss"]).all()
        assert (part["flipped"] == (part["prediction"] != part["prediction_adv"])).all()
    # The attacks do something: some predictions change at the largest radius.
    assert parts[-1]["flipped"].any()
    assert (parts[-1]["sensitivity_estimate"] > 0).all()


def test_a_larger_radius_or_more_restarts_never_lower_the_estimate(model):
    few, many = measured([(0, model)]), measured([(0, model)], restarts=3)
    for column in ("sensitivity_estimate", "sensitivity_representation", "loss_adv", "flipped"):
        for parts in (few, many):
            for smaller, larger in itertools.pairwise(parts):
                assert (larger[column] >= smaller[column]).all()
        for one, other in zip(few, many, strict=True):
            assert (other[column] >= one[column]).all()
    assert (many[0]["sensitivity_estimate"] > few[0]["sensitivity_estimate"]).any()


def test_a_further_radius_below_changes_no_larger_one_for_the_worse(model):
    alone = measured([(0, model)], epsilons=[[64, [0.06]]])
    with_smaller = measured([(0, model)])[-1]
    assert (with_smaller["sensitivity_estimate"] >= alone[0]["sensitivity_estimate"]).all()


def test_no_radius_no_change(model):
    (part,) = measured([(0, model)], epsilons=[[64, [0.0]]])
    np.testing.assert_allclose(part["sensitivity_estimate"], 0, atol=1e-5)  # float32: batches may round differently
    np.testing.assert_allclose(part["loss_adv"], part["loss"], atol=1e-4)
    assert not part["flipped"].any()


def test_probes_share_the_attack_on_their_representation(model, monkeypatch):
    asked = []
    original = study.read_adversarial
    arguments = lambda given: (given[9], given[6].epsilon)  # noqa: E731

    def counting(*given):
        asked.append(arguments(given))
        return original(*given)

    monkeypatch.setattr(study, "read_adversarial", counting)
    other = other_head(model)
    together = measured([(0, model), (1, other)])
    assert [objective for objective, _ in asked].count("representation") == 3
    assert [objective for objective, _ in asked].count("logits") == 6
    alone = measured([(1, copy.deepcopy(other))])
    for one, two in zip(together[3:], alone, strict=True):
        for column in ("sensitivity_estimate", "loss_adv", "prediction_adv", "met"):
            np.testing.assert_array_equal(one[column], two[column])
    # Another representation is attacked anew.
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.network.conv1.weight.mul_(1.5)
    assert same_representation(model, other)
    assert not same_representation(model, changed)
    asked.clear()
    measured([(0, model), (1, changed)])
    assert [objective for objective, _ in asked].count("representation") == 6


def test_radii_go_by_resolution():
    assert epsilons_at(ATTACK["epsilons"], 32) == [0.01, 0.03, 0.06]
    assert epsilons_at(ATTACK["epsilons"], 224) == [0.001]


def test_the_worst_point_of_an_image():
    """Three points by hand, one feature, two classes: z = (f, -f), label 0."""
    worst = Worst(np.array([[1.0], [-1.0]]), np.zeros(2), np.array([0]), np.array([[1.0]]))
    worst.look(np.array([[0.5]]), "logits")
    assert worst.rows()["prediction_adv"] == [0]
    worst.look(np.array([[-0.25]]), "logits")
    worst.look(np.array([[4.0]]), "representation")
    rows = worst.rows()
    assert rows["prediction"] == [0]
    assert rows["prediction_adv"] == [1]
    assert rows["flipped"].all()
    assert rows["sensitivity_estimate"] == [3.0]
    assert rows["sensitivity_representation"] == [3.0]
    assert rows["loss_adv"][0] == pytest.approx(np.log(1 + np.exp(0.5)))
    assert rows["boundary_distance"] == [1.0]
    assert rows["weight_distance"] == [2.0]
    assert not rows["met"].any()
    assert not rows["violated"].any()


def test_a_violation_would_be_noticed(monkeypatch):
    """A bound a tenth as large is exceeded, and said so: the check does not pass whatever happens."""
    honest = study.loss_bound
    monkeypatch.setattr(study, "loss_bound", lambda *given: 0.1 * honest(*given))
    worst = Worst(np.array([[1.0], [-1.0]]), np.zeros(2), np.array([0]), np.array([[1.0]]))
    worst.look(np.array([[-3.0]]), "logits")
    assert worst.rows()["violated"].all()
