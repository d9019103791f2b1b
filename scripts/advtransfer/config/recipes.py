"""What makes each artefact of an experiment: all that its job is told, its code and its inputs. No torch here.

`config` is the whole configuration, checked; `experiment` and `inspection` are resolved (see `grid` and `inspection`).
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from advtransfer.config import inputs, nonrobustness, robustness_bound, transferability
from advtransfer.config.catalogue import CATALOGUE, DRAWN, Entry
from advtransfer.config.claims import CLAIMS
from advtransfer.config.grid import (
    all_targets,
    row_files,
    subset_file,
    transfer_inputs,
    transfer_settings,
    transfer_told,
)
from advtransfer.config.inspection import ROLES, influence_settings, model_file, row_settings, seeds_of
from advtransfer.config.mitigation import transfer_code
from advtransfer.config.resolve import (
    experiment_for,
    experiment_sources,
    resolve_protocol,
    resolve_robustness,
    resolve_source,
    resolve_synthetic,
    resolve_target,
    test_data_of,
)
from advtransfer.downloads import file_hash
from advtransfer.provenance import code_of


class Recipe(NamedTuple):
    """What makes an artefact: all that its job is told, the files of its code, and its inputs.

    artefacts: {name: path}. files: {name: path} of inputs that are none. rows: artefacts that count together, as input "rows"; None
    where there is no such input. others: called, gives {name: hash} of what is no single file.
    """

    settings: Any
    code: tuple[str, ...]
    artefacts: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    rows: Sequence[str] | None = None
    others: Callable[[], Mapping[str, str]] = dict

    @property
    def inputs(self) -> list[str]:
        """The paths of all inputs that are files."""
        return [*self.artefacts.values(), *self.files.values(), *(self.rows or ())]


def all_recipes(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
    tables: bool = False,
) -> Iterator[tuple[str, Recipe]]:
    """Each artefact that the experiment may have, and what makes it; a network that several figures share once.

    tables: whether those that do not exist count, too.
    """
    told: set[str] = set()
    for file, recipe in _recipes(config, experiment, inspection, counts, tables):
        if file not in told:
            told.add(file)
            yield file, recipe


def _recipes(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
    tables: bool,
) -> Iterator[tuple[str, Recipe]]:
    yield from _sources_and_targets(config, experiment)
    yield from _subsets(config, experiment)
    if experiment["rows"] is None:
        yield from _fine_tuned(config, experiment)
    else:
        name = Path(experiment["rows"]).stem
        settings, read = {"models": config["published"][name]["models"]}, {"log": inputs.published_log(config, name)}
        yield experiment["rows"], Recipe(settings, ("published_rows.py",), files=read)
    if inspection is not None:
        yield from _looked_into(config, experiment, inspection)
    for file in inputs.synthetic_files(config):
        seed = int(Path(file).stem.removeprefix("seed"))
        yield file, Recipe(resolve_synthetic(config, seed), ("transferability_synthetic.py",))
    yield from _attacked(config, experiment)
    yield from _compared(config, experiment)
    yield from _arms(config, experiment)
    yield from _tables(config, experiment, inspection, counts, tables)
    yield from _figures(config, experiment, inspection)


def row_recipe(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the experiment's rows are made, JSON-compatible; None where they are the authors' own. See `grid.transfer_settings`."""
    if experiment["rows"] is not None:
        return None
    sizes = {images for pairs in experiment["sizes"].values() for images, _ in pairs}
    protocols = {str(images): resolve_protocol(config, experiment["protocol"], images) for images in sorted(sizes)}
    code = transfer_code(next(iter(protocols.values())))
    return {"seeds": config["seeds"], "protocols": protocols, "code": code_of(*code)}


def checkpoint_hash(config: Mapping[str, Any], source: str) -> str:
    """Hash of the file that a source of kind `file` is read from; "none" of a missing file, and of a download, which has its own."""
    entry = config["sources"][source]
    return hash_on_disk(entry["path"]) if entry["kind"] == "file" else "none"


def shown(experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None, figure: str) -> dict[str, Any]:
    """The experiment as the jobs of one figure or table get it: without what only others show."""
    part = inputs.PART_OF.get(CATALOGUE[figure].drawn_from)
    looked = {part: inputs.inspected(experiment, inspection, part)} if part else {}
    return {**experiment_for(experiment, figure), **looked}


def claims_settings(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> dict[str, Any]:
    """All that the job is told which tests the claims on an experiment, JSON-compatible."""
    tables, words = inputs.claimed_tables(config, experiment, inspection)
    return {
        "experiment": shown(experiment, inspection, "claims"),
        "tables": tables,
        "lacking": words,
        # What the paper says of its own sources.
        "sources": {
            role: config["sources"][source].get("published_accuracy_percent")
            for role, source in experiment["sources"].items()
        },
    }


def table_code(script: str, table: str) -> tuple[str, ...]:
    """The files of code that make a table: a script, and the module that it imports by name."""
    return script, f"advtransfer/tables/{CATALOGUE[table].tabulate.split('.')[0]}.py"


@functools.cache
def hash_on_disk(path: str) -> str:
    """Hash of a file's bytes, read once; "none" of a file that does not exist."""
    return f"sha256:{file_hash(Path(path), 'sha256')}" if Path(path).is_file() else "none"


def _sources_and_targets(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    own = experiment["rows"] is None
    sources = dict.fromkeys(experiment_sources(experiment) if own else [])
    targets = dict.fromkeys(all_targets(experiment) if own else [])
    for settings in filter(None, experiment["transferability"].values()):
        sources |= dict.fromkeys(settings["sources"])
        targets |= dict.fromkeys(settings["sizes"])
    for source in sources:
        entry, file = config["sources"][source], f"results/sources/{source}.safetensors"
        if entry["kind"] == "train":
            targets[entry["dataset"]] = None
            dataset = {"dataset": f"results/targets/{entry['dataset']}.safetensors"}
            yield file, Recipe(resolve_source(entry), ("train_source.py",), dataset)
        elif entry["kind"] == "file":
            yield file, Recipe(resolve_source(entry), ("import_source.py",), files={"checkpoint": entry["path"]})
        else:
            yield file, Recipe(resolve_source(entry), ("import_source.py",))
        used = {"source": file}
        test_data = test_data_of(config, source)
        if test_data:
            targets[test_data] = None
            used["dataset"] = f"results/targets/{test_data}.safetensors"
        settings = {"name": source, "settings": resolve_robustness(config, source)}
        yield f"results/robustness/{source}.parquet", Recipe(settings, ("robustness.py",), used)
    for target in list(targets):
        targets |= dict.fromkeys(inputs.mixed(config, target))
    for target in targets:
        entry = config["targets"][target]
        if entry["kind"] == "mixture":
            recipe = Recipe(resolve_target(entry), ("mixture.py",), inputs.mixed(config, target))
            yield f"results/targets/{target}.safetensors", recipe
            continue
        code = ("target.py", f"advtransfer/targets/{entry['kind']}.py")
        listed = functools.partial(lambda target: {"files": inputs.target_files(config, target)}, target)
        yield f"results/targets/{target}.safetensors", Recipe(resolve_target(entry), code, others=listed)


def _subsets(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    drawn: set[tuple[str, int]] = set()
    if experiment["rows"] is None:
        for target, own in all_targets(experiment).items():
            drawn |= {(target, images) for images, _ in experiment["sizes"][own]}
    for settings in filter(None, experiment["transferability"].values()):
        drawn |= set(settings["sizes"].items()) | set(settings["reference_sizes"].items())
    for target, images in sorted(drawn):
        settings, used = {"images": images, "seeds": config["seeds"]}, transfer_inputs("", target)
        yield subset_file(target, images), Recipe(settings, ("subset.py",), {"target": used["target"]})


def _fine_tuned(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    for file, (settings, used) in transfer_settings(experiment, row_recipe(config, experiment)).items():
        yield file, Recipe(settings, transfer_code(next(iter(settings["settings"].values()))), used)


def _looked_into(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any]
) -> Iterator[tuple[str, Recipe]]:
    protocol = experiment["protocol"]
    for part in (inspection["influence"], inspection["visualisation"]):
        for role, seed in itertools.product(ROLES, seeds_of(part)):
            source, target, images = part["sources"][role], part["target"], part["images"]
            kept = _kept(config, protocol, source, target, images, seed, part["blocks"])
            yield model_file(protocol, part, role, seed=seed), kept
    part = inspection["influence"]
    for role, seed in itertools.product(ROLES, seeds_of(part)):
        source = part["sources"][role]
        model, features, influence, through_all = (
            model_file(protocol, part, role, f"results/{name}", seed)
            for name in ("models", "features", "influence", "influence_all")
        )
        target = {"target": transfer_inputs(source, part["target"])["target"]}
        subset = subset_file(part["target"], part["images"])
        settings = {"seed": seed, "test_images": part["test_images"]}
        yield features, Recipe(settings, ("features.py",), {"model": model, "subset": subset, **target})
        yield influence, Recipe(influence_settings(part), ("influence.py",), {"features": features})
        settings = {"queries": part["all_weights_queries"]}
        used = {"model": model, "features": features, **target}
        yield through_all, Recipe(settings, ("influence_all.py",), used)
        rows = model_file(protocol, part, role, "results/influence_cut", seed, "parquet")
        settings = row_settings(inspection["influence_cut"], source, seed)
        yield rows, Recipe(settings, ("influence_cut_rows.py",), {"features": features})


def _attacked(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    for file, job in robustness_bound.attacked(experiment):
        protocol = experiment["robustness_bound"]["protocol"]
        models, used = job.models(protocol), transfer_inputs(job.source, job.target)
        for seed, model in models.items():
            yield model, _kept(config, protocol, job.source, job.target, job.images, seed, job.blocks)
        read = {"target": used["target"], **{str(seed): model for seed, model in models.items()}}
        yield file, Recipe(robustness_bound.row_settings(experiment, job), ("robustness_bound_rows.py",), read)


def _compared(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    """Of both comparisons of transferability: rows and what they are made of."""
    for comparison, settings in experiment["transferability"].items():
        for file, job in transferability.compared(experiment, comparison):
            probes, references = job.probes(settings["protocol"]), job.references(settings)
            used = transfer_inputs(job.source, job.target)
            read = {"source": used["source"], "target": used["target"]}
            for seed, probe, reference in zip(job.seeds, probes, references, strict=True):
                yield probe, _kept(config, settings["protocol"], job.source, job.target, job.images, seed)
                images = settings["reference_sizes"][job.target]
                yield reference, _reference(config, settings["recipe"], settings["like"], job.target, images, seed)
                read |= {f"probe {seed}": probe, f"reference {seed}": reference}
            yield file, Recipe(transferability.row_settings(experiment, job), ("transferability_rows.py",), read)


def _arms(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    """Of the study of non-robustness: rows, and the networks that they are made of."""
    for file, job in nonrobustness.trained(experiment):
        protocol = resolve_protocol(config, job.protocol, job.images)
        code = transfer_code(protocol, "nonrobustness_networks.py")
        used = {**transfer_inputs(job.source, job.target), "subset": subset_file(job.target, job.images)}
        yield file, Recipe(job.told(protocol), code, used)
    for file, job in nonrobustness.attacked(experiment):
        used = transfer_inputs(job.source, job.target)
        if job.part == "standard":
            for seed, model in job.models().items():
                yield model, _reference(config, job.way, job.source, job.target, job.images, seed)
        read = {"target": used["target"], **{str(seed): model for seed, model in job.models().items()}}
        yield file, Recipe(nonrobustness.row_settings(experiment, job), ("nonrobustness_rows.py",), read)
    for file, job in nonrobustness.compared(experiment):
        read = {"target": transfer_inputs("", job.target)["target"], "subset": subset_file(job.target, job.images)}
        read |= {str(index): model for index, model in enumerate(nonrobustness.compared_models(job))}
        yield file, Recipe(nonrobustness.feature_settings(experiment, job), ("nonrobustness_features.py",), read)


def _reference(config: Mapping[str, Any], recipe: str, like: str, target: str, images: int, seed: int) -> Recipe:
    """What makes a reference network."""
    told = {**transferability.resolve_recipe(config, recipe, seed), "images": images}
    used = {**transfer_inputs(like, target), "subset": subset_file(target, images)}
    return Recipe(told, ("reference_network.py",), used)


def _kept(
    config: Mapping[str, Any], protocol: str, source: str, target: str, images: int, seed: int, blocks: int = 0
) -> Recipe:
    """What makes a single kept network."""
    settings = resolve_protocol(config, protocol, images)
    told = transfer_told(protocol, source, target, blocks, [seed], {str(images): settings})
    return Recipe(told, transfer_code(settings), transfer_inputs(source, target, images))


def _tables(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
    missing: bool,
) -> Iterator[tuple[str, Recipe]]:
    for name, entry in CATALOGUE.items():
        file = f"results/tables/{experiment['name']}/{name}.{entry.table}"
        if (missing or Path(file).is_file()) and not inputs.lacking(config, experiment, inspection, entry):
            recipe = _table(config, experiment, inspection, counts, name, entry)
            if recipe is not None:
                yield file, recipe


def _table(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
    name: str,
    entry: Entry,
) -> Recipe | None:
    if entry.drawn_from == "rows":
        settings = {"figure": name, "tabulate": entry.tabulate, "experiment": shown(experiment, inspection, name)}
        rows = row_files(experiment, name)
        return Recipe(settings, table_code("table.py", name), rows=rows)
    if entry.drawn_from in ("influence", "influence_seeds", "influence_all"):
        settings = {"tabulate": entry.tabulate, "self_influence": inspection["influence"]["self_influence"]}
        settings["bands"] = experiment["bands"] if entry.drawn_from == "influence_seeds" else None
        files = inputs.influence_table_files(experiment, inspection, name)
        used = {name: file for name, file in files.items() if isinstance(file, str)}
        used |= {f"{role} {place}": file for role in ROLES for place, file in enumerate(files[role])}
        return Recipe(settings, table_code("influence_table.py", name), used)
    if entry.drawn_from == "influence_cut":
        settings = {"tabulate": entry.tabulate, "bands": experiment["bands"]}
        settings["sources"] = inspection["influence_cut"]["sources"]
        rows = inputs.influence_cut_files(experiment, inspection)
        return Recipe(settings, table_code("influence_cut.py", name), rows=rows)
    if entry.drawn_from == "networks":
        settings = {key: inspection["visualisation"][key] for key in ("units", "steps", "step_size")}
        used = inputs.inspected_files(experiment, inspection, "visualisation", "results/models")
        return Recipe(settings, ("visualise.py",), used)
    if entry.drawn_from == "robustness":
        rows = inputs.robustness_files(config, experiment)
        return Recipe(None, ("source_robustness.py",), rows=rows)
    if entry.drawn_from == "synthetic":
        rows = inputs.synthetic_files(config)
        return Recipe({"bands": config["bands"]}, ("transferability_synthetic_table.py",), rows=rows)
    if entry.drawn_from in inputs.STUDIES:
        settings = {"tabulate": entry.tabulate, "bands": experiment["bands"]}
        rows = inputs.study_rows(experiment, name)
        return Recipe(settings, table_code("study_table.py", name), rows=rows)
    if entry.drawn_from == "claims":
        settings = claims_settings(config, experiment, inspection)
        read = {"claims": CLAIMS, "printed": inputs.PRINTED}
        rows = inputs.claimed_files(config, experiment, inspection)
        return Recipe(settings, ("claims.py",), files=read, rows=rows)
    if entry.drawn_from == "claims_compared":
        used = {"published": inputs.AUDIT, "experiment": f"results/tables/{experiment['name']}/claims.csv"}
        return Recipe(None, ("claims_compared.py",), used)
    if entry.drawn_from == "architecture":
        settings = {
            "source": resolve_source(config["sources"][experiment["sources"]["natural"]]),
            "classes": counts[experiment["targets"][0]]["classes"],
            "blocks": experiment["blocks"],
        }
        return Recipe(settings, ("schematic.py",))
    return None


def _figures(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> Iterator[tuple[str, Recipe]]:
    for name, entry in DRAWN.items():
        if not inputs.lacking(config, experiment, inspection, entry):
            settings = {
                "experiment": shown(experiment, inspection, name),
                "caption": entry.caption,
                "style": {**config["style"].get("all", {}), **config["style"].get(name, {})},
                "width_inches": float(config["width_inches"]),
            }
            table = f"results/tables/{experiment['name']}/{name}.{entry.table}"
            yield f"figures/{name}.png", Recipe(settings, ("figure.py", f"figures/{name}.py"), {"table": table})
