"""The key `mitigation` of a protocol: discrepancy mitigation, a further term of the loss of fine-tuning (`advtransfer.mitigation`). No torch here.

Resolved, it is {"beta": float, "epsilon": float, "steps": int}; with beta 0 a protocol has none.
"""

from collections.abc import Mapping
from typing import Any

from advtransfer.config.values import parse_epsilon, shown
from advtransfer.errors import InputError


def check_mitigation(protocol: Mapping[str, Any], key: str) -> None:
    """Refuse, with an InputError, a radius that means nothing, and mitigation together with fixed views. key: of the protocol."""
    if "mitigation" not in protocol:
        return
    chosen = protocol["mitigation"]
    epsilon = parse_epsilon(chosen["epsilon"], f"{key}.mitigation.epsilon")
    if epsilon == 0 or epsilon > 1:
        raise InputError(
            f"config: {key}.mitigation.epsilon: found {shown(chosen['epsilon'])}. Give an Linf radius above 0 and up to 1, such as 0.5/255; "
            "for no mitigation, set beta to 0."
        )
    if "views" in protocol:
        raise InputError(
            f"config: {key}.mitigation: found together with 'views', whose images are no longer there when their activations are kept. "
            "Remove one of the two."
        )


def with_mitigation(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol with `mitigation` resolved, or without it where beta is 0."""
    chosen = protocol.get("mitigation")
    rest = {key: value for key, value in protocol.items() if key != "mitigation"}
    if chosen is None or chosen["beta"] == 0:
        return rest
    resolved = {"beta": float(chosen["beta"]), "epsilon": parse_epsilon(chosen["epsilon"]), "steps": chosen["steps"]}
    return {**rest, "mitigation": resolved}


def transfer_code(protocol: Mapping[str, Any], script: str = "transfer.py") -> tuple[str, ...]:
    """The files of code that fine-tune by a protocol, for `provenance.code_of`; script: the command line that does.

    It takes the mitigating learner by name, so that it lies under networks that are trained with it and under no others.
    """
    return (script, "advtransfer/mitigation.py") if "mitigation" in with_mitigation(protocol) else (script,)
