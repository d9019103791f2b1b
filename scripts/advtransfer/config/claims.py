"""The claims of the papers as resources/claims.yaml states them: read, and refused where a statement means nothing. No torch here.

A claim is computed by one statistic of a closed vocabulary (STATISTICS; `tables.claims` has their definitions) from one kind of evidence:

    rows       the experiment's fine-tuned models
    printed    the means that the paper's Table 5 prints (resources/published/table5.csv)
    sources    the published accuracy of the experiment's sources
    TABLES     a table of the experiment

Nothing in the file is executed: a statement is made of names and numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from advtransfer.config.files import LOADER, check_files
from advtransfer.config.values import shown, suggest
from advtransfer.errors import InputError

CLAIMS, SCHEMA = "resources/claims.yaml", "resources/claims.schema.yaml"
VERDICTS = ("holds", "mostly", "mixed", "does not hold", "not testable")
# Tables of an experiment that claims are tested on, entries of the catalogue; and that of the published accuracies of its sources.
TABLES = (
    "fig8_summary",
    "robustness_bound_summary",
    "robustness_bound",
    "transferability",
    "transferability_synthetic",
    "nonrobustness",
)
SOURCES = "sources"
# Figures whose models claims are tested on.
FIGURES = ("fig2", "fig3", "fig4", "fig5", "fig10")
# Keys that every claim has, those that any may have, and of each statistic those that it needs and those that it may have.
COMMON, OPTIONAL = ("id", "paper", "section", "claim", "statistic"), ("note", "protocol")
_SCOPE = ("targets", "images")
STATISTICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "difference": (("evidence", "plus", "minus", "condition"), (*_SCOPE, "epochs", "runs")),
    "trend": (("evidence", "plus", "minus", "condition"), (*_SCOPE, "runs")),
    "rank_correlation": (("evidence", "plus", "minus", "condition"), (*_SCOPE, "runs")),
    "best": (("evidence", "plus", "rivals"), (*_SCOPE, "runs")),
    "agreement": (("evidence", "within"), ("roles", *_SCOPE, "runs")),
    "count": (("condition",), ("per", "planned", *_SCOPE)),
    "schedule": (("epochs",), _SCOPE),
    "table": (("evidence", "column", "condition"), ("where", "less", "by")),
    "none": (("missing",), ()),
}
EVIDENCE = {
    **dict.fromkeys(("difference", "trend", "rank_correlation", "best", "agreement"), ("rows", "printed")),
    "table": (SOURCES, *TABLES),
}


def read_claims(file: str | Path = CLAIMS, schema: str | Path = SCHEMA) -> dict[str, Any]:
    """{"level": of the tests, "claims": [claim, ...]} of a file of claims, checked.

    Raises InputError, one line, for the first finding: the claim, the key, what was found, the remedy.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file. Take the one of the project, or correct the path.")
    name = Path(file).name
    try:
        content = yaml.load(Path(file).read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.YAMLError as error:
        raise InputError(f"{name}: no YAML ({' '.join(str(error).split())}). Correct it.") from None
    check_files([file])
    rules = yaml.load(Path(schema).read_text(encoding="utf-8"), Loader=LOADER)
    errors = sorted(Draft202012Validator(rules).iter_errors(content), key=lambda error: list(map(str, error.path)))
    if errors:
        error = errors[0]
        place = _place(content, list(error.absolute_path))
        remedy = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
        words = (
            error.message
            if error.validator in ("required", "additionalProperties")
            else f"found {shown(error.instance)}"
        )
        raise InputError(f"{name}: {place}{words}. {remedy or 'See resources/claims.schema.yaml.'}")
    seen: dict[str, str] = {}
    for claim in content["claims"]:
        _check(claim, f"{name}: claim '{claim['id']}'")
        if claim["id"] in seen:
            raise InputError(f"{name}: claim '{claim['id']}' occurs twice. Rename one.")
        if claim["claim"] in seen.values():
            raise InputError(f"{name}: claim '{claim['id']}' repeats another one's words. Say what differs.")
        seen[claim["id"]] = claim["claim"]
    return content


def _place(content: Any, path: list[Any]) -> str:
    """The words for where in the file something stands, such as "claim 'faster', plus.role: "."""
    words = ""
    if path[:1] == ["claims"] and len(path) > 1:
        claim = content["claims"][path[1]]
        named = claim.get("id") if isinstance(claim, Mapping) else None
        words, path = (f"claim {shown(named)}" if named else f"claim {path[1] + 1}"), path[2:]
    key = ".".join(map(str, path))
    return ", ".join(filter(None, [words, key])) + ": " if words or key else ""


def _check(claim: Mapping[str, Any], place: str) -> None:
    """What the schema does not say: which keys a statistic takes, and what fits together."""
    statistic = claim["statistic"]
    needed, possible = STATISTICS[statistic]
    for key in needed:
        if key not in claim:
            raise InputError(f"{place}: statistic '{statistic}' needs '{key}'. Add it.")
    known = (*COMMON, *OPTIONAL, *needed, *possible)
    for key in claim:
        if key not in known:
            raise InputError(f"{place}: statistic '{statistic}' takes no '{key}'. {suggest(key, known)}")
    if statistic in EVIDENCE and claim["evidence"] not in EVIDENCE[statistic]:
        raise InputError(
            f"{place}, evidence: found {shown(claim['evidence'])}. {suggest(claim['evidence'], EVIDENCE[statistic])}"
        )
    if statistic == "rank_correlation" and claim["condition"] not in ({"above": 0}, {"below": 0}):
        raise InputError(f"{place}, condition: its test is of a correlation of 0. Write 'above: 0' or 'below: 0'.")
    low, high = claim.get("condition", {}).get("between", (0, 0))
    if low > high:
        raise InputError(f"{place}, condition.between: found {[low, high]}. Give the lower end first.")
    sides = [side for key in ("plus", "minus", "rivals") for side in as_list(claim.get(key, []))]
    if claim.get("evidence") == "printed":
        for side in sides:
            if side.get("blocks", 3) != 3 or "epoch" in side:
                raise InputError(f"{place}: Table 5 prints the last epoch of 3 blocks only. Use evidence 'rows'.")
    if ("less" in claim) != ("by" in claim):
        raise InputError(
            f"{place}: 'less' and 'by' belong together: lines are subtracted where their 'by' agrees. Give both or none."
        )
    if statistic == "best" and len(as_list(claim["plus"])) != 1:
        raise InputError(f"{place}, plus: found {len(claim['plus'])} sides. Name the one that is best.")


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else as a list of one."""
    return list(value) if isinstance(value, list) else [value]
