"""The synthetic experiment in small: measures fall with the perturbation, the loss rises, and the control does not fall."""

import pandas as pd
import pytest
import torch

from advtransfer.studies.transferability_synthetic import (
    ATTACKS,
    Network,
    draw_data,
    perturb,
    root_mean_squared_error,
    run,
    solved,
    train_target,
)


@pytest.fixture(scope="module")
def data():
    return draw_data(0, 600)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return run(0, [0, 0.3, 0.6, 1, 1.5, 2.1], iterations=150, points=600)


def spearman(rows, attack, quantity):
    mine = rows[rows["attack"] == attack]
    return mine["perturbation"].corr(mine[quantity], method="spearman")


@pytest.mark.parametrize("quantity", ["alpha1_source_target", "combined_source_target"])
def test_attacks_transfer_less_the_more_a_source_is_perturbed(rows, quantity):
    assert spearman(rows, ATTACKS[0], quantity) <= -0.9


def test_knowledge_transfers_less_too(rows):
    assert spearman(rows, ATTACKS[0], "transfer_loss") >= 0.9
    assert spearman(rows, ATTACKS[0], "gradient_distance") >= 0.9


def test_what_is_no_attack_does_not_show_it(rows):
    """The second singular vector: what S's does to T is small from the start and stays so, what T's does to S grows."""
    control = rows[rows["attack"] == ATTACKS[1]]["alpha1_source_target"]
    assert control.max() < 0.3
    assert control.max() - control.min() < 0.1
    assert spearman(rows, ATTACKS[1], "alpha1_target_source") > 0.5


def test_an_unperturbed_source_is_the_target(rows):
    first = rows[(rows["perturbation"] == 0) & (rows["attack"] == ATTACKS[0])].iloc[0]
    for quantity in ("alpha1_source_target", "alpha1_target_source", "tau1", "tau2"):
        assert first[quantity] == pytest.approx(1, abs=1e-6)
    assert first["gradient_distance"] == pytest.approx(0, abs=1e-5)
    assert (rows["left_out"] == 0).all()


def test_the_same_seed_draws_the_same(data):
    again = draw_data(0, 600)
    assert all(map(torch.equal, data, again))
    assert not torch.equal(data[0], draw_data(1, 600)[0])
    assert data[0].shape == (600, 50)
    assert data[1].shape == (600, 10)


def test_training_and_solving_lower_the_loss(data):
    barely, longer = (root_mean_squared_error(train_target(*data, 0, iterations), *data) for iterations in (2, 60))
    assert longer < barely
    network = perturb(train_target(*data, 0, 2), 0, 0.5)
    best = solved(network, *data)
    assert root_mean_squared_error(best, *data) < root_mean_squared_error(network, *data)
    assert torch.equal(best.first, network.first)
    # Least squares: no other last layer is better.
    for name in ("second", "second_bias"):
        other = best._replace(**{name: getattr(best, name) + 1e-3})
        assert root_mean_squared_error(best, *data) <= root_mean_squared_error(other, *data)


def test_a_deviation_is_one_direction_at_every_size():
    network = Network(*(torch.zeros(shape, dtype=torch.float64) for shape in ((3, 2), (3,), (1, 3), (1,))))
    small, large = perturb(network, 5, 0.1), perturb(network, 5, 0.4)
    for one, other in zip(small, large, strict=True):
        assert torch.allclose(4 * one, other)
        assert float(one.abs().max()) <= 0.05
