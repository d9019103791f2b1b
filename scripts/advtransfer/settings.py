"""The configuration: checked as a whole before any job starts, then resolved into what jobs are told.

Every finding is an InputError with one line: the key, what was found, the remedy. No torch here: this runs at every
start of Snakemake, dry runs included.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from advtransfer.errors import InputError

UNLIMITED = 10**9
# Keys of a source that tables and figures show, and that nothing is computed from.
SHOWN_ONLY = ("label", "family", "published_accuracy_percent")


def check(config: Mapping[str, Any], schema_file: str | Path) -> None:
    """Check the whole configuration against the schema and all names in it against each other.

    Raises InputError for the first finding.
    """
    schema = yaml.safe_load(Path(schema_file).read_text(encoding="utf-8"))
    errors = list(Draft202012Validator(schema).iter_errors(config))
    if errors:
        raise InputError(_one_line(_deepest(min(errors, key=lambda error: list(map(str, error.absolute_path))))))
    _known(config["experiment"], config["experiments"], "experiment", "experiment")
    for name, schedule in config["seed_schedules"].items():
        _check_steps(schedule, f"seed_schedules.{name}")
    _check_steps(config["seeds_per_job"], "seeds_per_job")
    for name, protocol in config["protocols"].items():
        _check_steps(protocol["epochs"], f"protocols.{name}.epochs")
        if "views" in protocol and (protocol["augmentation"] == "none" or protocol["batch_norm"] == "adapt"):
            raise InputError(
                f"config: protocols.{name}.views: found {protocol['views']}, but fixed views need an augmentation, and frozen "
                "layers that do not adapt. Set 'augmentation: paper' and 'batch_norm: frozen' or 'target', or remove 'views'."
            )
    for name, source in config["sources"].items():
        if source["kind"] == "train":
            _known(source["dataset"], config["targets"], f"sources.{name}.dataset", "target")
        if source.get("threat"):
            _check_threat(source["threat"], f"sources.{name}.threat")
    for name, target in config["targets"].items():
        if "resize" in target and target["resize"] < target.get("resolution", target["resize"] + 1):
            raise InputError(
                f"config: targets.{name}.resize: found {target['resize']}, with resolution {target.get('resolution')}. Give a "
                "resolution that is not larger; ImageNet's are 256 and 224."
            )
    for name, experiment in config["experiments"].items():
        _check_experiment(config, name, experiment)
    _check_robustness(config)


def _deepest(error: ValidationError) -> ValidationError:
    """The branch of an anyOf that fits best: the one chosen by the entry's own 'kind', else the last."""
    while error.context:
        error = max(error.context, key=lambda part: (len(part.absolute_path), part.validator != "type"))
    return error


def _one_line(error: ValidationError) -> str:
    key = ".".join(map(str, error.absolute_path)) or "top level"
    found, value = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in found if name not in known)
        return f"config: {key}: unknown key '{unknown}'. {_suggest(str(unknown), known)}"
    if error.validator == "required":
        absent = next(name for name in value if name not in found)
        return f"config: {key}: key '{absent}' is missing. Add it."
    if error.validator == "uniqueItems":
        twice = next(item for index, item in enumerate(found) if item in found[:index])
        return f"config: {key}: {twice} is listed twice. Remove one."
    if "description" in error.schema:
        remedy = error.schema["description"]
    elif error.validator == "enum":
        remedy = _suggest(str(found), map(str, value))
    else:
        remedy = f"It must satisfy {error.validator}: {value}."
    return f"config: {key}: found {found!r}. {remedy}"


def _suggest(found: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(found, known, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"Choose one of: {', '.join(known)}."


def _known(name: str, known: Mapping[str, Any], key: str, noun: str) -> None:
    if name not in known:
        raise InputError(f"config: {key}: no {noun} is named '{name}'. {_suggest(str(name), known)}")


def _check_steps(steps: list[Mapping[str, int]], key: str) -> None:
    limits = [step.get("images_up_to", UNLIMITED) for step in steps]
    if limits != sorted(set(limits)) or limits[-1] != UNLIMITED:
        raise InputError(
            f"config: {key}: found images_up_to limits {limits[:-1]}. They must rise, and the last entry must have none."
        )


def _check_threat(threat: Mapping[str, Any], key: str) -> None:
    epsilon = parse_epsilon(threat["epsilon"], f"{key}.epsilon")
    if epsilon <= 0:
        raise InputError(f"config: {key}.epsilon: found {threat['epsilon']}. Use a positive radius, or 'threat: null'.")
    if threat["norm"] == "linf" and epsilon > 1:
        raise InputError(
            f"config: {key}.epsilon: found {threat['epsilon']} for linf, but pixels lie in [0, 1]. "
            f"Write {threat['epsilon']}/255."
        )


def parse_epsilon(value: float | str, key: str = "epsilon") -> float:
    """A radius in pixel units [0, 1], written as a number or as a fraction such as "4/255"."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+)\s*", value)
        if not match or int(match[2]) == 0:
            raise InputError(f"config: {key}: found '{value}'. Write a number, or a fraction such as 4/255.")
        return float(match[1]) / int(match[2])
    return float(value)


def _check_experiment(config: Mapping[str, Any], name: str, experiment: Mapping[str, Any]) -> None:
    key = f"experiments.{name}"
    _known(experiment["protocol"], config["protocols"], f"{key}.protocol", "protocol")
    for role, source in experiment["sources"].items():
        _known(source, config["sources"], f"{key}.sources.{role}", "source")
    if "natural" not in experiment["sources"]:
        raise InputError(
            f"config: {key}.sources: found {', '.join(experiment['sources'])}, but no 'natural' source to compare with. "
            "Add 'natural: NAME'."
        )
    used = list(experiment["sources"].values())
    twice = [source for source in used if used.count(source) > 1]
    if twice:
        raise InputError(f"config: {key}.sources: '{twice[0]}' fills two roles. Give each role a source of its own.")
    for target in experiment["targets"]:
        _known(target, config["targets"], f"{key}.targets", "target")
    if isinstance(experiment["seeds"], str):
        _known(experiment["seeds"], config["seed_schedules"], f"{key}.seeds", "schedule")
    most = len(config["seeds"])
    for images in (0, UNLIMITED):
        asked = _models(config, experiment, images)
        if asked > most:
            raise InputError(
                f"config: {key}.seeds: found {asked}, but 'seeds' lists {most}. Lower it or list more seeds."
            )


def _check_robustness(config: Mapping[str, Any]) -> None:
    families = {source["family"]: None for source in config["sources"].values() if "family" in source}
    for family, target in config["robustness"]["test_data"].items():
        _known(family, families, "robustness.test_data", "family of sources")
        if target is not None:
            _known(target, config["targets"], f"robustness.test_data.{family}", "target")
    for norm, epsilons in config["robustness"]["epsilons"].items():
        for epsilon in epsilons:
            _check_threat({"norm": norm, "epsilon": epsilon}, f"robustness.epsilons.{norm}")
    if config["robustness"]["attack"] == "autoattack" and config["robustness"]["restarts"] != 1:
        raise InputError(
            f"config: robustness.restarts: found {config['robustness']['restarts']}, but AutoAttack has restarts of its "
            "own. Set it to 1."
        )


def _step(steps: list[Mapping[str, int]], images: int) -> Mapping[str, int]:
    return next(step for step in steps if images <= step.get("images_up_to", UNLIMITED))


def _models(config: Mapping[str, Any], experiment: Mapping[str, Any], images: int) -> int:
    seeds = experiment["seeds"]
    return _step(config["seed_schedules"][seeds], images)["seeds"] if isinstance(seeds, str) else seeds


def resolve_experiment(config: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]], rows: str) -> dict[str, Any]:
    """The chosen experiment in the form that `grid` describes, every size and seed count worked out.

    counts: {target: {"train": images, "test": images, "classes": classes}} of the experiment's targets.
    rows: the file that holds all rows, should the experiment take the published ones.
    Raises InputError where a size does not fit a target, or a figure's choice does not fit the experiment.
    """
    name = config["experiment"]
    experiment = config["experiments"][name]
    sizes = {}
    for target in experiment["targets"]:
        have, classes = counts[target]["train"], counts[target]["classes"]
        wanted = sorted({have if images == "all" else images for images in experiment["images"]})
        if wanted[-1] > have:
            raise InputError(
                f"config: experiment '{name}' asks for {wanted[-1]} images; target '{target}' has {have} for training. "
                "Lower 'images'."
            )
        if wanted[0] < classes:
            raise InputError(
                f"config: experiment '{name}' asks for {wanted[0]} images; target '{target}' has {classes} classes and "
                "each needs one. Raise 'images'."
            )
        sizes[target] = [[images, _models(config, experiment, images)] for images in wanted]
    return {
        "name": name,
        "protocol": experiment["protocol"],
        "sources": dict(experiment["sources"]),
        "targets": list(experiment["targets"]),
        "labels": {
            **{source: source_label(config["sources"][source]) for source in experiment["sources"].values()},
            **{target: config["targets"][target].get("label", target) for target in experiment["targets"]},
        },
        "sizes": sizes,
        "blocks": sorted(experiment["blocks"]),
        "fig3": _resolve_fig3(config, name, experiment, sizes),
        "epsilon": _resolve_epsilon(config, name, experiment, sizes),
        "rows": rows if experiment.get("rows") == "published" else None,
        "seeds_per_job": [[step.get("images_up_to", UNLIMITED), step["seeds"]] for step in config["seeds_per_job"]],
    }


def _resolve_fig3(
    config: Mapping[str, Any], name: str, experiment: Mapping[str, Any], sizes: Mapping[str, list[list[int]]]
) -> dict[str, Any]:
    common = _common_sizes(name, sizes)
    chosen = experiment.get("fig3", {})
    images = chosen.get("images", max(common))
    _check_common([images], common, f"experiments.{name}.fig3.images")
    step = _step(config["protocols"][experiment["protocol"]]["epochs"], images)
    evaluated = evaluated_epochs(step["epochs"], step["evaluate_every"])
    epochs = chosen.get("epochs", evaluated)
    odd = sorted(set(epochs) - set(evaluated))
    if odd:
        raise InputError(
            f"config: experiments.{name}.fig3.epochs: found {odd[0]}, which protocol '{experiment['protocol']}' does not "
            f"evaluate at {images} images. Choose one of: {', '.join(map(str, evaluated))}."
        )
    return {"images": images, "epochs": sorted(epochs)}


def _resolve_epsilon(
    config: Mapping[str, Any], name: str, experiment: Mapping[str, Any], sizes: Mapping[str, list[list[int]]]
) -> dict[str, Any]:
    """The sources of the epsilon ladder, from natural (epsilon 0) upwards, and the sizes at which it is drawn."""
    common, key = _common_sizes(name, sizes), f"experiments.{name}.epsilon"
    chosen = experiment.get("epsilon", {})
    images = chosen.get("images", sorted(common))
    _check_common(images, common, f"{key}.images")
    natural = experiment["sources"]["natural"]
    members = [
        source for source in experiment["sources"].values() if source == natural or config["sources"][source]["threat"]
    ]
    if "family" in chosen:
        family = chosen["family"]
        families = dict.fromkeys(source["family"] for source in config["sources"].values() if "family" in source)
        _known(family, families, f"{key}.family", "family of sources")
        members = [source for source, entry in config["sources"].items() if entry.get("family") == family]
        naturals = [source for source in members if config["sources"][source]["threat"] is None]
        if len(naturals) != 1:
            raise InputError(
                f"config: {key}.family: '{family}' has {len(naturals)} natural sources (threat: null), the ladder begins with "
                "one. Correct 'family' of the sources."
            )
    rungs = []
    for source in members:
        threat = config["sources"][source]["threat"]
        threat = _resolve_threat(threat) if threat else {"norm": None, "epsilon": 0.0}
        rungs.append({"source": source, **threat})
    rungs.sort(key=lambda rung: (rung["norm"] or "", rung["epsilon"]))
    labels = {source: source_label(config["sources"][source]) for source in members}
    return {"sources": rungs, "images": sorted(images), "labels": labels}


def _common_sizes(name: str, sizes: Mapping[str, list[list[int]]]) -> set[int]:
    common = set.intersection(*({images for images, _ in sizes[target]} for target in sizes))
    if not common:
        raise InputError(f"config: experiments.{name}.images: no size fits all targets. Give one that all can have.")
    return common


def _check_common(images: Iterable[int], common: set[int], key: str) -> None:
    odd = sorted(set(images) - common)
    if odd:
        raise InputError(
            f"config: {key}: found {odd[0]}, which is not a size of every target. "
            f"Choose one of: {', '.join(map(str, sorted(common)))}."
        )


def experiment_for(experiment: Mapping[str, Any], figure: str) -> dict[str, Any]:
    """The resolved experiment without what only other figures show, so that a figure is redrawn for its own settings."""
    mine = {key: value for key, value in experiment.items() if key not in ("fig3", "epsilon")}
    if figure == "fig3":
        mine["fig3"] = experiment["fig3"]
    if figure in ("epsilon", "source_robustness"):
        mine["epsilon"] = experiment["epsilon"]
        mine["labels"] = {**experiment["epsilon"]["labels"], **experiment["labels"]}
    return mine


def experiment_sources(experiment: Mapping[str, Any]) -> list[str]:
    """All sources that an experiment shows: by role, then the rest of its epsilon ladder."""
    ladder = [rung["source"] for rung in experiment["epsilon"]["sources"]]
    return list(dict.fromkeys([*experiment["sources"].values(), *ladder]))


def test_data_of(config: Mapping[str, Any], source: str) -> str | None:
    """The target whose test images belong to a source, None where none is given."""
    return config["robustness"]["test_data"].get(config["sources"][source].get("family"))


def resolve_robustness(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """How a source's robustness is measured: every threat of the configuration, and the source's own."""
    settings = config["robustness"]
    threats = [
        {"norm": norm, "epsilon": parse_epsilon(epsilon)}
        for norm, epsilons in settings["epsilons"].items()
        for epsilon in epsilons
    ]
    own = config["sources"][source]["threat"]
    if own:
        threats.append(_resolve_threat(own))
    unique = {(threat["norm"], threat["epsilon"]): threat for threat in threats}
    return {
        "threats": [unique[key] for key in sorted(unique)],
        **{key: settings[key] for key in ("attack", "steps", "restarts", "images", "seed")},
    }


def evaluated_epochs(epochs: int, every: int) -> list[int]:
    """The epochs after which a run is evaluated: 1, 1 + every, 1 + 2 every, ... and the last.

    >>> evaluated_epochs(100, 20)
    [1, 21, 41, 61, 81, 100]
    """
    return sorted({*range(1, epochs + 1, every), epochs})


def resolve_protocol(config: Mapping[str, Any], name: str, images: int) -> dict[str, Any]:
    """The training recipe at one number of images: the protocol with its epochs worked out."""
    protocol = dict(config["protocols"][name])
    step = _step(protocol["epochs"], images)
    return {
        **protocol,
        "epochs": step["epochs"],
        "evaluated_epochs": evaluated_epochs(step["epochs"], step["evaluate_every"]),
    }


def resolve_source(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A source's entry as jobs get it: every epsilon a number, what only names or labels the source left out."""
    resolved = {key: value for key, value in settings.items() if key not in SHOWN_ONLY}
    if resolved.get("threat"):
        resolved["threat"] = _resolve_threat(resolved["threat"])
    if "evaluation" in resolved:
        threats = [_resolve_threat(threat) for threat in resolved["evaluation"]["threats"]]
        resolved["evaluation"] = {**resolved["evaluation"], "threats": threats}
    return resolved


def _resolve_threat(threat: Mapping[str, Any]) -> dict[str, Any]:
    return {"norm": threat["norm"], "epsilon": parse_epsilon(threat["epsilon"])}


def source_label(settings: Mapping[str, Any]) -> str:
    """What a figure calls a source: its own label, or its threat in words."""
    if "label" in settings:
        return settings["label"]
    threat = settings["threat"]
    if threat is None:
        return "natural"
    return f"{ {'l2': 'L2', 'linf': 'L∞'}[threat['norm']] }, ε = {threat['epsilon']}"


def seeds_of_chunk(config: Mapping[str, Any], first: int, last: int) -> list[int]:
    """The seeds of a job, by the indices of its first and its last."""
    return list(config["seeds"][first : last + 1])


def describe(config: Mapping[str, Any], experiment: Mapping[str, Any], table: str) -> Any:
    """What tables 1 to 4 say of the configuration, JSON-compatible; see `descriptions`."""
    if table == "table1":
        protocol = config["protocols"][experiment["protocol"]]
        return {"protocol": experiment["protocol"], "blocks": experiment["blocks"], "settings": protocol}
    if table == "table2":
        steps = config["protocols"][experiment["protocol"]]["epochs"]
        sizes: dict[tuple[int, int], list[str]] = {}
        for target, pairs in experiment["sizes"].items():
            for images, models in pairs:
                sizes.setdefault((images, models), []).append(target)
        grid = len(experiment["sources"]) * len(experiment["blocks"])
        # Further rungs of the ladder are trained at 3 blocks and at its sizes only.
        rungs = len(experiment_sources(experiment)) - len(experiment["sources"]) if 3 in experiment["blocks"] else 0
        return [
            {
                "images": images,
                "seeds": seeds,
                "targets": targets,
                "models_per_seed": grid + (rungs if images in experiment["epsilon"]["images"] else 0),
                **dict(_step(steps, images)),
            }
            for (images, seeds), targets in sorted(sizes.items())
        ]
    if table == "table3":
        return [
            {
                "source": source,
                "label": source_label(config["sources"][source]),
                "family": config["sources"][source].get("family"),
                "threat": resolve_source(config["sources"][source])["threat"],
                "published_accuracy_percent": config["sources"][source].get("published_accuracy_percent"),
            }
            for source in experiment_sources(experiment)
        ]
    return [{"target": target, "label": experiment["labels"][target]} for target in experiment["targets"]]


def count_models(experiment: Mapping[str, Any]) -> int:
    """The number of models that the whole experiment trains."""
    per_source = sum(models for sizes in experiment["sizes"].values() for _, models in sizes)
    return per_source * len(experiment["sources"]) * len(experiment["blocks"])
