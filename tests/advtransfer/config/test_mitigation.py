"""The key `mitigation` of a protocol: what is refused, what jobs are told, and whose code it is."""

import pytest

from advtransfer.config.mitigation import transfer_code, with_mitigation
from advtransfer.config.recipes import all_recipes
from advtransfer.config.resolve import resolve_protocol
from advtransfer.config.start import choose
from advtransfer.errors import InputError
from advtransfer.provenance import code_of
from experiments import PROJECT, read_config, resolved

CHOSEN = {"beta": 4, "epsilon": "0.5/255", "steps": 10}


def configured(**changes):
    config = read_config()
    config["protocols"]["demo"]["mitigation"] = {**CHOSEN, **changes}
    return config


def test_jobs_are_told_numbers():
    told = resolve_protocol(configured(), "demo", 100)
    assert told["mitigation"] == {"beta": 4.0, "epsilon": 0.5 / 255, "steps": 10}
    assert {key: value for key, value in told.items() if key != "mitigation"} == resolve_protocol(
        read_config(), "demo", 100
    )


def test_beta_0_is_no_mitigation():
    """The very settings of plain fine-tuning: the same cache, the same jobs, the same bits."""
    assert resolve_protocol(configured(beta=0), "demo", 100) == resolve_protocol(read_config(), "demo", 100)
    assert with_mitigation({"a": 1}) == {"a": 1}


def test_plain_networks_do_not_depend_on_its_code():
    plain, mitigated = (
        transfer_code(resolve_protocol(config, "demo", 100)) for config in (read_config(), configured())
    )
    assert plain == ("transfer.py",)
    assert "advtransfer/mitigation.py" in mitigated
    assert code_of(*plain) != code_of(*mitigated)
    assert transfer_code(resolve_protocol(configured(beta=0), "demo", 100)) == plain
    kept = [
        transfer_code(resolve_protocol(one, "demo", 100), "nonrobustness_networks.py")
        for one in (read_config(), configured())
    ]
    assert code_of(*kept[0]) != code_of(*kept[1])
    # The command line takes the learner by name: its code is not under networks that are trained without it.
    assert kept == [("nonrobustness_networks.py",), ("nonrobustness_networks.py", "advtransfer/mitigation.py")]


def test_every_network_of_the_protocol_is_made_by_it():
    found = {}
    for name, config in (("plain", read_config()), ("mitigated", configured())):
        chosen = choose(config, PROJECT / "rules" / "config.schema.yaml")
        made = all_recipes(config, chosen.experiment, chosen.inspection, chosen.counts)
        found[name] = {
            file: recipe.code
            for file, recipe in made
            if file.startswith(("results/transfer/demo", "results/models/demo/"))
        }
    assert len(found["plain"]) > 50
    assert set(found["plain"].values()) == {("transfer.py",)}
    assert set(found["mitigated"].values()) == {("transfer.py", "advtransfer/mitigation.py")}


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"epsilon": 0}, "protocols.demo.mitigation.epsilon: found 0. Give an Linf radius above 0 and up to 1"),
        ({"epsilon": 4}, "protocols.demo.mitigation.epsilon: found 4. Give an Linf radius"),
        ({"epsilon": "half"}, "protocols.demo.mitigation.epsilon: found 'half'. Write a number"),
        ({"beta": -1}, "protocols.demo.mitigation.beta: found -1. Give a weight from 0 to 1e6"),
        ({"steps": 0}, "protocols.demo.mitigation.steps: found 0. Give a whole number of steps"),
        ({"betta": 1}, "protocols.demo.mitigation: unknown key 'betta'. Did you mean 'beta'?"),
    ],
)
def test_what_does_not_fit_is_refused(change, finding):
    with pytest.raises(InputError) as error:
        resolved(configured(**change))
    assert finding in str(error.value)
    assert "\n" not in str(error.value)


def test_it_is_refused_together_with_views():
    config = configured()
    config["protocols"]["demo"] |= {"augmentation": "paper", "views": 2}
    with pytest.raises(
        InputError, match=r"protocols.demo.mitigation: found together with 'views'.*Remove one of the two"
    ):
        resolved(config)


def test_all_of_its_keys_are_needed():
    config = configured()
    del config["protocols"]["demo"]["mitigation"]["steps"]
    with pytest.raises(InputError, match=r"protocols\.demo\.mitigation: key 'steps' is missing"):
        resolved(config)
