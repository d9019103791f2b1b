"""What the training record that a source artefact carries says of its robustness. No torch: tables read it too."""

from collections.abc import Mapping
from typing import Any


def describe_attack(attack: str, steps: int, restarts: int) -> str:
    """The words that tables and figures use for an attack."""
    if attack == "autoattack":
        return "AutoAttack"
    return f"PGD-{steps}" + (f", {restarts} restarts" if restarts > 1 else "")


def recorded(metadata: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Rows (`columns.ROBUSTNESS`) out of the training record that a source artefact carries; none where it carries none."""
    origin = metadata.get("origin", {})
    record = origin.get("record", origin)
    if "measured" not in record:
        return []
    measured, steps = record["measured"], record["settings"]["evaluation"]["attack_steps"]
    common = {"source": name, "origin": "training record"}
    clean = {"norm": "", "epsilon": 0.0, "accuracy": measured["test_accuracy"], "images": measured["test_images"]}
    return [
        {**common, **clean, "attack": "none"},
        *(
            {**common, **threat, "images": measured["attacked_images"], "attack": describe_attack("pgd", steps, 1)}
            for threat in measured["robust_accuracy"]
        ),
    ]
