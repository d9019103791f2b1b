"""The configuration worked out: what jobs are told of an experiment, a protocol, a source. No torch here.

What does not fit is an InputError with one line: the key, what was found, the remedy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from advtransfer.config.catalogue import CATALOGUE, FROM_ROWS, Selection
from advtransfer.config.claims import FIGURES as CLAIMED_FIGURES
from advtransfer.config.grid import all_targets, models_of, shrunk_names
from advtransfer.config.mitigation import with_mitigation
from advtransfer.config.nonrobustness import resolve_nonrobustness
from advtransfer.config.resolution import resolve_resolution
from advtransfer.config.robustness_bound import resolve_robustness_bound
from advtransfer.config.transferability import COMPARISONS, resolve_controlled, resolve_networks
from advtransfer.config.values import (
    CELL_KEYS,
    UNLIMITED,
    holds_for_all,
    parse_epsilon,
    parse_threat,
    require_known,
    seed_steps,
    seeds_at,
    step_at,
)
from advtransfer.errors import InputError

# Keys of a source or target that tables and figures show, and that nothing is computed from.
SHOWN_ONLY = ("label", "family", "published_accuracy_percent")


def resolve_experiment(config: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]], rows: str) -> dict[str, Any]:
    """The chosen experiment in the form that `grid` describes, every size and seed count worked out.

    counts: {target: {"train": images, "test": images, "classes": classes}} of the experiment's targets and of the controlled one
    of `transferability`.
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
        sizes[target] = [[images, seeds_at(config, experiment, images)] for images in wanted]
    resolution = _resolve_resolution(config, name, sizes)
    shrunk = resolution["targets"] if resolution else {}
    resolved = {
        "name": name,
        "protocol": experiment["protocol"],
        "sources": dict(experiment["sources"]),
        "targets": list(experiment["targets"]),
        "labels": {
            **{source: source_label(config["sources"][source]) for source in experiment["sources"].values()},
            **{target: config["targets"][target].get("label", target) for target in experiment["targets"]},
        },
        "sizes": sizes,
        "cell_seeds": _resolve_cell_seeds(config, experiment, shrunk),
        "epochs": planned_epochs(config, experiment["protocol"], sizes),
        "blocks": sorted(experiment["blocks"]),
        "fig3": _resolve_fig3(config, name, experiment, sizes),
        "epsilon": _resolve_epsilon(config, name, experiment, sizes),
        "resolution": resolution,
        "figures": _resolve_figures(name, experiment, list(shrunk_names({"resolution": resolution}))),
        "bands": config["bands"],
        "rows": rows if experiment.get("rows") == "published" else None,
        "seeds_per_job": _resolve_seeds_per_job(config, experiment["protocol"]),
    }
    sources = experiment_sources(resolved)
    comparisons = {
        "networks": resolve_networks(config, resolved, sources, counts),
        "controlled": resolve_controlled(config, counts),
    }
    for settings in filter(None, comparisons.values()):
        settings["labels"] = {
            **{source: source_label(config["sources"][source]) for source in settings["sources"]},
            **{target: config["targets"][target].get("label", target) for target in settings["sizes"]},
        }
    bound = resolve_robustness_bound(config, resolved, sources)
    arms = resolve_nonrobustness(config, resolved)
    return {**resolved, "robustness_bound": bound, "transferability": comparisons, "nonrobustness": arms}


def _resolve_cell_seeds(
    config: Mapping[str, Any], experiment: Mapping[str, Any], shrunk: Mapping[str, list[list[Any]]]
) -> list[dict[str, Any]]:
    """The steps of the seed schedule for some cells only, as `grid.models_of` reads them; a shrunk target counts as its own."""
    rules = []
    for step in seed_steps(config, experiment):
        if holds_for_all(step):
            continue
        rule = {"images_up_to": step.get("images_up_to", UNLIMITED), "seeds": step["seeds"]}
        rule |= {key: list(step[key]) for key in CELL_KEYS if key in step}
        if "roles" in rule:
            roles = rule.pop("roles")
            rule["sources"] = [source for role, source in experiment["sources"].items() if role in roles]
        if "targets" in rule:
            names = (name for target in rule["targets"] for _, name in shrunk.get(target, []))
            rule["targets"] = list(dict.fromkeys([*rule["targets"], *names]))
        rules.append(rule)
    return rules


def _resolve_seeds_per_job(config: Mapping[str, Any], protocol: str) -> list[list[Any]]:
    """The steps of a protocol's own, or else those of all."""
    steps = config["seeds_per_job"]
    own = [step for step in steps if protocol in step.get("protocols", [])]
    return [
        [step.get("images_up_to", UNLIMITED), step["seeds"], step.get("together", False)]
        for step in own or [step for step in steps if "protocols" not in step]
    ]


def _resolve_resolution(
    config: Mapping[str, Any], name: str, sizes: Mapping[str, list[list[int]]]
) -> dict[str, Any] | None:
    common = _common_sizes(name, sizes)
    resolution = resolve_resolution(config, sorted(common))
    if resolution is not None:
        _check_common(resolution["images"], common, f"experiments.{name}.resolution.images")
    return resolution


def _resolve_fig3(
    config: Mapping[str, Any], name: str, experiment: Mapping[str, Any], sizes: Mapping[str, list[list[int]]]
) -> dict[str, Any]:
    common = _common_sizes(name, sizes)
    chosen = experiment.get("fig3", {})
    images = chosen.get("images", max(common))
    _check_common([images], common, f"experiments.{name}.fig3.images")
    step = step_at(config["protocols"][experiment["protocol"]]["epochs"], images)
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
        require_known(family, families, f"{key}.family", "family of sources")
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
        threat = parse_threat(threat) if threat else {"norm": None, "epsilon": 0.0}
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


def _resolve_figures(name: str, experiment: Mapping[str, Any], shrunk: list[str]) -> dict[str, Any]:
    chosen = experiment.get("figures", {})
    for figure, key, own in (("fig3", "epoch", "epochs"), ("epsilon", "roles", "a family of sources")):
        if key in chosen.get(figure, {}):
            raise InputError(
                f"config: experiments.{name}.figures.{figure}.{key}: found {chosen[figure][key]!r}, but this figure is drawn over {own}. "
                f"Remove it, and see '{figure}' in config.yaml."
            )
    return {
        figure: resolve_selection(
            entry.selection, shrunk if entry.selection.x == "resolution" else experiment["targets"], chosen.get(figure)
        )
        for figure, entry in FROM_ROWS.items()
    }


def resolve_selection(
    selection: Selection, targets: list[str], chosen: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A figure's selection of models, JSON-compatible, with its panels out of an experiment's targets (see `catalogue.Selection`).

    chosen: what the experiment sets for itself, of roles, blocks and epoch.
    """
    selection = replace(selection, **(chosen or {}))
    panels = list(selection.panels)
    if not set(panels) <= set(targets):
        panels = targets[: len(panels)]
    return {
        "roles": list(selection.roles),
        "blocks": list(selection.blocks),
        "x": selection.x,
        "differences": [
            [[role, selection.blocks[0] if blocks is None else blocks] for role, blocks in pair]
            for pair in selection.differences
        ],
        "panels": panels or list(targets),
        "epoch": selection.epoch,
        "printed": selection.printed,
    }


def experiment_for(experiment: Mapping[str, Any], figure: str) -> dict[str, Any]:
    """The resolved experiment without what only other figures show, so that a figure is redrawn for its own settings."""
    others = ("epochs", "fig3", "epsilon", "resolution", "figures", "bands")
    others += ("robustness_bound", "transferability", "nonrobustness")
    mine = {key: value for key, value in experiment.items() if key not in others}
    entry = CATALOGUE[figure]
    x = None
    if entry.selection:
        mine |= {"figures": {figure: experiment["figures"][figure]}, "bands": experiment["bands"]}
        mine["epochs"] = experiment["epochs"]
        x = entry.selection.x
    if x == "epoch":
        mine["fig3"] = experiment["fig3"]
    if x == "resolution":
        mine["resolution"] = experiment["resolution"]
    if entry.drawn_from in ("influence_seeds", "influence_cut"):
        mine["bands"] = experiment["bands"]
    if entry.drawn_from == "attacked":
        mine |= {"robustness_bound": experiment["robustness_bound"], "bands": experiment["bands"]}
    if entry.drawn_from == "claims":
        mine |= {key: experiment[key] for key in ("epochs", "fig3")}
        mine["figures"] = {name: experiment["figures"][name] for name in CLAIMED_FIGURES}
    if entry.drawn_from == "arms":
        mine |= {"nonrobustness": experiment["nonrobustness"], "bands": experiment["bands"]}
    if figure in COMPARISONS:
        compared = experiment["transferability"][COMPARISONS[figure]]
        mine |= {"transferability": compared, "labels": compared["labels"], "bands": experiment["bands"]}
    if x == "epsilon" or entry.drawn_from in ("robustness", "attacked"):
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
        threats.append(parse_threat(own))
    unique = {(threat["norm"], threat["epsilon"]): threat for threat in threats}
    return {
        "threats": [unique[key] for key in sorted(unique)],
        **{key: settings[key] for key in ("attack", "steps", "restarts", "images", "seed")},
    }


def resolve_synthetic(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What one draw of the synthetic experiment of transferability is told."""
    settings = config["transferability"]["synthetic"]
    return {"seed": seed, "perturbations": settings["perturbations"], "iterations": settings["iterations"]}


def evaluated_epochs(epochs: int, evaluate_every: int) -> list[int]:
    """The epochs after which a run is evaluated: 1, 1 + evaluate_every, 1 + 2 evaluate_every, ... and the last.

    >>> evaluated_epochs(100, 20)
    [1, 21, 41, 61, 81, 100]
    """
    return sorted({*range(1, epochs + 1, evaluate_every), epochs})


def resolve_protocol(config: Mapping[str, Any], name: str, images: int) -> dict[str, Any]:
    """The training recipe at one number of images: the protocol with its epochs and its mitigation worked out."""
    protocol = with_mitigation(config["protocols"][name])
    step = step_at(protocol["epochs"], images)
    return {
        **protocol,
        "epochs": step["epochs"],
        "evaluated_epochs": evaluated_epochs(step["epochs"], step["evaluate_every"]),
    }


def resolve_sizes(config: Mapping[str, Any], name: str, sizes: str) -> dict[str, dict[str, Any]]:
    """{number of images, as text: the training recipe there} for sizes as files of rows name them, such as "50+100"."""
    return {images: resolve_protocol(config, name, int(images)) for images in sizes.split("+")}


def planned_epochs(config: Mapping[str, Any], protocol: str, sizes: Mapping[str, list[list[int]]]) -> dict[str, int]:
    """{number of images, as text: the protocol's epochs} for every size of any target ({target: [[images, ...], ...]})."""
    images = sorted({pair[0] for pairs in sizes.values() for pair in pairs})
    return {str(size): resolve_protocol(config, protocol, size)["epochs"] for size in images}


def resolve_source(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A source's entry as jobs get it: every epsilon a number, what only names or labels the source left out."""
    resolved = {key: value for key, value in settings.items() if key not in SHOWN_ONLY}
    if resolved.get("threat"):
        resolved["threat"] = parse_threat(resolved["threat"])
    if "evaluation" in resolved:
        threats = [parse_threat(threat) for threat in resolved["evaluation"]["threats"]]
        resolved["evaluation"] = {**resolved["evaluation"], "threats": threats}
    return resolved


def resolve_target(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A target's entry as its job gets it: what only labels it left out."""
    return {key: value for key, value in settings.items() if key not in SHOWN_ONLY}


def source_label(settings: Mapping[str, Any]) -> str:
    """What a figure calls a source: its own label, or its threat in words."""
    if "label" in settings:
        return settings["label"]
    threat = settings["threat"]
    if threat is None:
        return "natural"
    return f"{ {'l2': 'L2', 'linf': 'L∞'}[threat['norm']] }, ε = {threat['epsilon']}"


def _pick(settings: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: settings[key] for key in keys}


def describe(config: Mapping[str, Any], experiment: Mapping[str, Any], table: str) -> Any:
    """What tables 1 to 4 say of the configuration, JSON-compatible; see `tables.descriptions`."""
    if table == "table1":
        protocol = config["protocols"][experiment["protocol"]]
        return {"protocol": experiment["protocol"], "blocks": experiment["blocks"], "hyper_parameters": protocol}
    if table == "table2":
        sizes: dict[tuple[int, int], list[str]] = {}
        for target, pairs in experiment["sizes"].items():
            for images, models in pairs:
                sizes.setdefault((images, models), []).append(target)
        lines = []
        for (images, otherwise), targets in sorted(sizes.items()):
            grid = {(source, count) for source in experiment["sources"].values() for count in experiment["blocks"]}
            # Further rungs of the ladder are trained at 3 blocks and at its sizes only.
            if 3 in experiment["blocks"] and images in experiment["epsilon"]["images"]:
                grid |= {(rung["source"], 3) for rung in experiment["epsilon"]["sources"]}
            models = [
                models_of(experiment, source, target, count, images, otherwise)
                for target in targets
                for source, count in grid
            ]
            lines.append(
                {
                    "images": images,
                    "seeds": sorted(set(models) - {0}),
                    "targets": targets,
                    "models": sum(models),
                    **_pick(resolve_protocol(config, experiment["protocol"], images), "epochs", "evaluated_epochs"),
                }
            )
        return lines
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


def resolve_costs(
    config: Mapping[str, Any], experiment: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """The experiment and all that its cost depends on, JSON-compatible; see `estimate`."""
    sizes = {images for pairs in experiment["sizes"].values() for images, _ in pairs}
    return {
        "experiment": experiment,
        "protocols": {
            str(images): resolve_protocol(config, experiment["protocol"], images) for images in sorted(sizes)
        },
        "sources": {name: resolve_source(config["sources"][name]) for name in experiment_sources(experiment)},
        "targets": {target: {**config["targets"][target], **counts[target]} for target in all_targets(experiment)},
        "drawn_seeds": len(config["seeds"]),
    }
