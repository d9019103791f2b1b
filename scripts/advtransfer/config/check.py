"""The whole configuration checked, before any job starts: against the schema, and all names in it against each other.

Every finding is an InputError with one line: the key, what was found, the remedy. No torch here: this runs at every
start of Snakemake, dry runs included.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from advtransfer.config.catalogue import DRAWN, FROM_ROWS, ROLES
from advtransfer.config.files import LOADER
from advtransfer.config.mitigation import check_mitigation
from advtransfer.config.nonrobustness import check_nonrobustness
from advtransfer.config.values import (
    MOST_VALUES,
    SMALLEST_EPSILON,
    UNLIMITED,
    holds_for_all,
    parse_epsilon,
    require_known,
    seed_steps,
    shown,
    suggest,
)
from advtransfer.errors import InputError
from advtransfer.targets.catalogue import TORCHVISION, data_set_of

# Passes over the whole test set in one run: each costs time, and their list has to fit into a job's command line.
MOST_EVALUATIONS = 1_000
# Types of JSON Schema in words.
TYPES = {"object": "keys with values (key: value)", "array": "a list ([...])", "string": "text", "number": "a number"}
# No part of the configuration lies deeper than 7 levels.
DEEPEST = 20


def _unique_items(validator: Any, unique: bool, found: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """The keyword uniqueItems, which compares each with each: not where there are too many anyway."""
    if not isinstance(found, list) or len(found) <= schema["maxItems"]:
        yield from Draft202012Validator.VALIDATORS["uniqueItems"](validator, unique, found, schema)


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# JSON Schema takes 50.0 for an integer; nan and inf are no numbers of JSON, but of Python.
Validator = extend(
    Draft202012Validator,
    validators={"uniqueItems": _unique_items},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number}),
)


def check(config: Mapping[str, Any], schema_file: str | Path) -> None:
    """Check the whole configuration against the schema and all names in it against each other.

    Raises InputError for the first finding.
    """
    _check_values(config)
    schema = yaml.load(Path(schema_file).read_text(encoding="utf-8"), Loader=LOADER)
    # Names that the catalogues hold; the schema has a place for each.
    schema["$defs"]["style_name"]["enum"] = ["all", *DRAWN]
    schema["$defs"]["figure_of_models"]["enum"] = [name for name in FROM_ROWS if name in DRAWN]
    schema["$defs"]["role"]["enum"] = list(ROLES)
    schema["$defs"]["torchvision_dataset"]["enum"] = list(TORCHVISION)
    schema["$defs"]["roles"]["properties"] = {role: {"$ref": "#/$defs/name"} for role in ROLES}
    errors = list(Validator(schema).iter_errors(config))
    if errors:
        raise InputError(_one_line(_deepest(min(errors, key=lambda error: list(map(str, error.absolute_path))))))
    require_known(config["experiment"], config["experiments"], "experiment", "experiment")
    for name, schedule in config["seed_schedules"].items():
        _check_schedule(config, schedule, f"seed_schedules.{name}")
    for step in config["seeds_per_job"]:
        for protocol in step.get("protocols", []):
            require_known(protocol, config["protocols"], "seeds_per_job.protocols", "protocol")
    for protocol in config["protocols"]:
        steps = [step for step in config["seeds_per_job"] if protocol in step.get("protocols", [])]
        if steps:
            _check_steps(steps, f"seeds_per_job of protocol '{protocol}'")
    _check_steps([step for step in config["seeds_per_job"] if "protocols" not in step], "seeds_per_job")
    for name, protocol in config["protocols"].items():
        _check_steps(protocol["epochs"], f"protocols.{name}.epochs")
        for step in protocol["epochs"]:
            if step["epochs"] / step["evaluate_every"] > MOST_EVALUATIONS:
                raise InputError(
                    f"config: protocols.{name}.epochs: found {step['epochs']} epochs, evaluated after every "
                    f"{step['evaluate_every']}, more than {MOST_EVALUATIONS:,} times. Raise 'evaluate_every'."
                )
        if "views" in protocol and (protocol["augmentation"] == "none" or protocol["batch_norm"] == "adapt"):
            raise InputError(
                f"config: protocols.{name}.views: found {protocol['views']}, but fixed views need an augmentation, and frozen "
                "layers that do not adapt. Set 'augmentation: paper' and 'batch_norm: frozen' or 'target', or remove 'views'."
            )
        check_mitigation(protocol, f"protocols.{name}")
    for name, source in config["sources"].items():
        if source["kind"] == "train":
            require_known(source["dataset"], config["targets"], f"sources.{name}.dataset", "target")
        if source.get("threat"):
            _check_threat(source["threat"], f"sources.{name}.threat")
        for threat in source.get("evaluation", {}).get("threats", []):
            _check_threat(threat, f"sources.{name}.evaluation.threats")
    _check_downloads(config)
    for name, target in config["targets"].items():
        if "resize" in target and target["resize"] < target.get("resolution", target["resize"] + 1):
            raise InputError(
                f"config: targets.{name}.resize: found {target['resize']}, with resolution {target.get('resolution')}. Give a "
                "resolution that is not larger; ImageNet's are 256 and 224."
            )
        _check_shrinking(target, target.get("shrink_to", 0), f"targets.{name}.shrink_to")
    for name, target in config["targets"].items():
        for part in target.get("parts", {}):
            require_known(part, config["targets"], f"targets.{name}.parts", "target")
            if config["targets"][part]["kind"] == "mixture":
                raise InputError(
                    f"config: targets.{name}.parts: found '{part}', which is a mixture itself. Give its parts instead."
                )
            _check_shrinking(config["targets"][part], target["pixels"], f"targets.{name}.pixels")
    for name, experiment in config["experiments"].items():
        _check_experiment(config, name, experiment)
    _check_robustness(config)
    asked, have = config["transferability"]["synthetic"]["seeds"], len(config["seeds"])
    if asked > have:
        raise InputError(
            f"config: transferability.synthetic.seeds: found {asked}, but 'seeds' lists {have}. Lower it or list more seeds."
        )
    _check_transferability(config)
    _check_robustness_bound(config["robustness_bound"], config, "robustness_bound")
    for name, experiment in config["experiments"].items():
        own = experiment.get("robustness_bound", {})
        _check_robustness_bound({**config["robustness_bound"], **own}, config, f"experiments.{name}.robustness_bound")
    check_nonrobustness(config["nonrobustness"], config, "nonrobustness")
    for name, experiment in config["experiments"].items():
        own = experiment.get("nonrobustness", {})
        features = {**config["nonrobustness"]["features"], **own.get("features", {})}
        whole = {**config["nonrobustness"], **own, "features": features}
        check_nonrobustness(whole, config, f"experiments.{name}.nonrobustness")


def _check_downloads(config: Mapping[str, Any]) -> None:
    """Two downloads under one name would be one file, and one of the two sources another network than it says."""
    files = {f"published.{name}.url": Path(log["url"]).name for name, log in config["published"].items()}
    files |= {
        f"sources.{name}.file": source["file"]
        for name, source in config["sources"].items()
        if source["kind"] == "download"
    }
    owners: dict[str, str] = {}
    for key, file in files.items():
        if file in owners:
            raise InputError(
                f"config: {key}: found '{file}', which is the file of {owners[file]} too. "
                "Give each download a name of its own."
            )
        owners[file] = key


def _deepest(error: ValidationError) -> ValidationError:
    """The branch of an anyOf that fits best: the one chosen by the entry's own 'kind', else the last."""
    while error.context:
        error = max(error.context, key=lambda part: (len(part.absolute_path), part.validator != "type"))
    return error


def _check_values(config: Mapping[str, Any]) -> None:
    """Refuse what no file can be meant to hold: too many values, too deep ones, endless numbers, and keys that are no text.

    Aliases of YAML make a small file unfold into billions of values: each is counted as often as it is met, and the count
    ends at MOST_VALUES.
    """
    count, left = 0, [(config, ())]
    while left:
        value, path = left.pop()
        count += 1
        if count > MOST_VALUES:
            raise InputError(f"config: more than {MOST_VALUES:,} values. Use fewer entries, or fewer aliases (*name).")
        if len(path) > DEEPEST:
            raise InputError(
                f"config: {_key(path[:5])}: more than {DEEPEST} levels deep. Correct the indentation or the brackets."
            )
        # Python refuses to write numbers of some thousand digits, and jsonschema would ask it to.
        if isinstance(value, int) and value.bit_length() > 100:
            raise InputError(f"config: {_key(path)}: found {shown(value)}. Give one of fewer digits.")
        if isinstance(value, Mapping):
            for name in value:
                if not isinstance(name, str):
                    raise InputError(f"config: {_key(path)}: the key {shown(name)} is no text. Put it in quotes.")
            left += [(below, (*path, name)) for name, below in value.items()]
        elif isinstance(value, list):
            left += [(below, (*path, index)) for index, below in enumerate(value)]


def _key(path: Iterable[str | int]) -> str:
    """A place in the configuration, such as experiments.demo.images.0."""
    return ".".join(shown(part).strip("'") for part in path) or "top level"


def _one_line(error: ValidationError) -> str:
    key = _key(error.absolute_path)
    found, value = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in found if name not in known)
        return f"config: {key}: unknown key {shown(unknown)}. {suggest(str(unknown), known)}"
    if error.validator == "required":
        absent = next(name for name in value if name not in found)
        return f"config: {key}: key '{absent}' is missing. Add it."
    if error.validator == "uniqueItems":
        twice = next(item for index, item in enumerate(found) if item in found[:index])
        return f"config: {key}: {twice if isinstance(twice, str) else shown(twice)} is listed twice. Remove one."
    if "description" in error.schema:
        remedy = error.schema["description"]
    elif error.validator == "enum":
        remedy = suggest(found if isinstance(found, str) else shown(found), map(str, value))
    else:
        wanted = TYPES.get(value) if error.validator == "type" else None
        remedy = f"Give {wanted}." if wanted else f"It must satisfy {error.validator}: {shown(value)}."
    return f"config: {key}: found {shown(found)}. {remedy}"


def _check_steps(steps: list[Mapping[str, int]], key: str) -> None:
    limits = [step.get("images_up_to", UNLIMITED) for step in steps]
    if limits != sorted(set(limits)) or limits[-1:] != [UNLIMITED]:
        raise InputError(
            f"config: {key}: found images_up_to limits {[limit for limit in limits if limit != UNLIMITED]}. They must rise, and the last entry must have none."
        )


def _check_schedule(config: Mapping[str, Any], schedule: list[Mapping[str, Any]], key: str) -> None:
    """Steps for some cells stand first, in the order in which they are tried; the steps for all others follow."""
    general = [holds_for_all(step) for step in schedule]
    if general != sorted(general):
        place = general.index(True)
        raise InputError(
            f"config: {key}: found a step for some cells after step {place + 1}, which holds for all. Put the steps with 'roles', "
            "'targets' or 'blocks' first."
        )
    for step in schedule:
        for target in step.get("targets", []):
            require_known(target, config["targets"], f"{key}.targets", "target")
    _check_steps(list(filter(holds_for_all, schedule)), key)


def _check_threat(threat: Mapping[str, Any], key: str) -> None:
    epsilon = parse_epsilon(threat["epsilon"], f"{key}.epsilon")
    if epsilon < SMALLEST_EPSILON:
        raise InputError(
            f"config: {key}.epsilon: found {shown(threat['epsilon'])}. Use a positive radius, or 'threat: null'."
        )
    if threat["norm"] == "linf" and epsilon > 1:
        raise InputError(
            f"config: {key}.epsilon: found {threat['epsilon']} for linf, but pixels lie in [0, 1]. "
            f"Write {threat['epsilon']}/255."
        )


def _check_experiment(config: Mapping[str, Any], name: str, experiment: Mapping[str, Any]) -> None:
    key = f"experiments.{name}"
    require_known(experiment["protocol"], config["protocols"], f"{key}.protocol", "protocol")
    if "log" in experiment:
        require_known(experiment["log"], config["published"], f"{key}.log", "log")
        if experiment.get("rows") != "published":
            raise InputError(
                f"config: {key}.log: found '{experiment['log']}', but its rows are computed. Remove 'log', or set 'rows: published'."
            )
    for role, source in experiment["sources"].items():
        require_known(source, config["sources"], f"{key}.sources.{role}", "source")
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
        require_known(target, config["targets"], f"{key}.targets", "target")
    if isinstance(experiment["seeds"], str):
        require_known(experiment["seeds"], config["seed_schedules"], f"{key}.seeds", "schedule")
    most = len(config["seeds"])
    asked = max(step["seeds"] for step in seed_steps(config, experiment))
    if asked > most:
        raise InputError(f"config: {key}.seeds: found {asked}, but 'seeds' lists {most}. Lower it or list more seeds.")
    _check_resolution(config, key, experiment)


def _check_resolution(config: Mapping[str, Any], key: str, experiment: Mapping[str, Any]) -> None:
    for target in experiment.get("resolution", {}).get("targets", []):
        if target not in experiment["targets"]:
            raise InputError(
                f"config: {key}.resolution.targets: found '{target}', which is no target of the experiment. "
                f"Choose out of: {', '.join(experiment['targets'])}."
            )


def _check_robustness(config: Mapping[str, Any]) -> None:
    families = {source["family"]: None for source in config["sources"].values() if "family" in source}
    for family, target in config["robustness"]["test_data"].items():
        require_known(family, families, "robustness.test_data", "family of sources")
        if target is not None:
            require_known(target, config["targets"], f"robustness.test_data.{family}", "target")
    for norm, epsilons in config["robustness"]["epsilons"].items():
        for epsilon in epsilons:
            _check_threat({"norm": norm, "epsilon": epsilon}, f"robustness.epsilons.{norm}")
    if config["robustness"]["attack"] == "autoattack" and config["robustness"]["restarts"] != 1:
        raise InputError(
            f"config: robustness.restarts: found {config['robustness']['restarts']}, but AutoAttack has restarts of its "
            "own. Set it to 1."
        )


def _check_shrinking(target: Mapping[str, Any], pixels: int, key: str) -> None:
    """Refuse to shrink a target's images to more pixels than they have."""
    # Of an image folder without 'resolution', its job finds out.
    have = target.get("resolution") if target["kind"] == "image_folder" else min(data_set_of(target).shape[1:])
    if have and pixels > have:
        raise InputError(f"config: {key}: found {pixels}; the images have {have} pixels. Lower it, or remove it.")


def _check_transferability(config: Mapping[str, Any]) -> None:
    study = config["transferability"]
    controlled = study["controlled"]
    require_known(controlled["target"], config["targets"], "transferability.controlled.target", "target")
    for source in controlled["sources"]:
        require_known(source, config["sources"], "transferability.controlled.sources", "source")
    chosen = {"transferability.networks": {}, "transferability.controlled": controlled}
    chosen |= {
        f"experiments.{name}.transferability": experiment.get("transferability", {})
        for name, experiment in config["experiments"].items()
    }
    for key, own in chosen.items():
        settings = {**study["networks"], **own}
        require_known(settings["protocol"], config["protocols"], f"{key}.protocol", "protocol")
        require_known(settings["recipe"], config["reference_networks"], f"{key}.recipe", "recipe of reference networks")
        _check_limits(settings["epsilons"], f"{key}.epsilons")
        for step in settings["epsilons"]:
            _check_threat({"norm": settings["norm"], "epsilon": step["epsilon"]}, f"{key}.epsilons")


def _check_limits(steps: list[Mapping[str, Any]], key: str) -> None:
    limits = [step.get("resolution_up_to", UNLIMITED) for step in steps]
    if limits != sorted(set(limits)) or limits[-1] != UNLIMITED:
        raise InputError(
            f"config: {key}: found resolution_up_to limits {limits[:-1]}. They must rise, and the last entry must have none."
        )


def _check_robustness_bound(settings: Mapping[str, Any], config: Mapping[str, Any], key: str) -> None:
    require_known(settings["protocol"], config["protocols"], f"{key}.protocol", "protocol")
    if config["protocols"][settings["protocol"]]["batch_norm"] == "adapt":
        raise InputError(
            f"config: {key}.protocol: '{settings['protocol']}' lets frozen layers adapt while the head trains (batch_norm: adapt), so that "
            "the representation is not the source's. Choose one with 'batch_norm: frozen' or 'target'."
        )
    _check_limits(settings["epsilons"], f"{key}.epsilons")
    for step in settings["epsilons"]:
        for epsilon in step["epsilons"]:
            _check_threat({"norm": settings["norm"], "epsilon": epsilon}, f"{key}.epsilons")
