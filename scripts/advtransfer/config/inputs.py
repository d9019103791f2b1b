"""What rules read: the files behind a source, a figure or a table, and what an experiment lacks for one. No torch here.

`config` is the whole configuration, checked; `experiment` and `inspection` are resolved (see `grid` and `inspection`).
"""

import csv
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advtransfer.config import nonrobustness, robustness_bound, transferability
from advtransfer.config.catalogue import CATALOGUE, Entry
from advtransfer.config.claims import FIGURES as CLAIMED_FIGURES
from advtransfer.config.claims import TABLES as CLAIMED_TABLES
from advtransfer.config.grid import cells, row_files
from advtransfer.config.inspection import model_file, seeds_of
from advtransfer.config.resolve import experiment_sources, test_data_of
from advtransfer.config.robustness_bound import NO_NETWORKS as NO_NETWORKS_TO_ATTACK
from advtransfer.config.transferability import COMPARISONS, controlled_target, missing
from advtransfer.errors import InputError
from advtransfer.targets.catalogue import PAPER_TARGETS, data_set_of
from advtransfer.targets.listing import count, fingerprint

# The part of what an experiment looks into, by what a figure is drawn from.
PART_OF = {
    "influence": "influence",
    "influence_seeds": "influence",
    "influence_all": "influence",
    "influence_cut": "influence_cut",
    "networks": "visualisation",
}
# What the tables of studies with rows of their own are drawn from.
STUDIES = ("attacked", "arms", "compared", "controlled")
# The paper's Table 5, as printed, and the trained blocks of its models.
PRINTED, PRINTED_BLOCKS = "resources/published/table5.csv", 3
# The claims as tested on the paper's own logs, beside which others are shown.
AUDIT = "results/tables/published/claims.csv"
NO_NETWORKS = "has no networks to look into: it needs sources 'natural' and 'robust', and rows that are computed"


def counts_of(config: Mapping[str, Any], target: str, cache: Path | None = None) -> dict[str, int]:
    """How many images and classes a target has ("train", "test", "classes"), known before any of it is downloaded.

    cache: a folder in which it is kept which files of an image folder are skipped as unreadable; without it, all are read each time.
    """
    entry = config["targets"][target]
    if entry["kind"] == "image_folder":
        return count(entry, f"config: target '{target}'", cache)
    return data_set_of(entry).counts


def planned_targets(config: Mapping[str, Any], shrunk: Mapping[str, Any]) -> list[str]:
    """The targets whose counts the chosen experiment is worked out of: its own, shrunk ones, and the controlled one of `transferability`."""
    own = config["experiments"][config["experiment"]]["targets"]
    return list(dict.fromkeys([*own, *shrunk, controlled_target(config)]))


def mixed(config: Mapping[str, Any], target: str) -> dict[str, str]:
    """{target: its artefact} of the parts of a mixture, in alphabetical order; nothing for other kinds."""
    return {part: f"results/targets/{part}.safetensors" for part in sorted(config["targets"][target].get("parts", {}))}


def target_files(config: Mapping[str, Any], target: str) -> str:
    """A hash of an image folder's file names and sizes, so that a changed folder is read again; "none" for other kinds."""
    entry = config["targets"][target]
    return fingerprint(entry, f"config: target '{target}'") if entry["kind"] == "image_folder" else "none"


def checkpoint(config: Mapping[str, Any], source: str) -> str:
    """The file that a source is read from: of the user, of the project, or one to download."""
    entry = config["sources"][source]
    return f"results/downloads/{entry['file']}" if entry["kind"] == "download" else entry["path"]


def downloads(config: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """{file: {"url", "hash"}} of everything that is downloaded; hash is null where none is published."""
    files = {
        entry["file"]: {"url": entry["url"], "hash": entry["hash"]}
        for entry in config["sources"].values()
        if entry["kind"] == "download"
    }
    logs = {Path(log["url"]).name: {"url": log["url"], "hash": log["hash"]} for log in config["published"].values()}
    return {**files, **logs}


def published_log(config: Mapping[str, Any], name: str) -> str:
    """Where a log of the authors lies once it is downloaded."""
    return f"results/downloads/{Path(config['published'][name]['url']).name}"


def published_rows(config: Mapping[str, Any]) -> str:
    """The one file of rows of the chosen experiment, should it take the authors' own: those of the log it names, or of the first."""
    log = config["experiments"][config["experiment"]].get("log", next(iter(config["published"])))
    return f"results/published/{log}.parquet"


def known_sources(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> list[str]:
    """The experiment's sources that can tell their robustness: by test images, or by their training record."""
    if experiment["rows"]:
        return []
    return [
        source
        for source in experiment_sources(experiment)
        if test_data_of(config, source) or config["sources"][source]["kind"] != "download"
    ]


def robustness_files(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> list[str]:
    """The rows of the sources whose robustness is known."""
    return [f"results/robustness/{source}.parquet" for source in known_sources(config, experiment)]


def source_robustness_files(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> list[str]:
    """What the table of the sources' robustness is made of; InputError where nothing is known."""
    words = lacking(config, experiment, None, CATALOGUE["source_robustness"])
    if words:
        raise InputError(f"figures/source_robustness.pdf: experiment '{experiment['name']}' {words}.")
    return robustness_files(config, experiment)


def synthetic_files(config: Mapping[str, Any]) -> list[str]:
    """The rows of each seed of the synthetic experiment of transferability."""
    seeds = config["seeds"][: config["transferability"]["synthetic"]["seeds"]]
    return [f"results/transferability/synthetic/seed{seed}.parquet" for seed in seeds]


def described_files(config: Mapping[str, Any], experiment: Mapping[str, Any], table: str) -> list[str]:
    """What tables 1 to 4 are read from, besides the configuration."""
    if CATALOGUE[table].drawn_from == "sources":
        return robustness_files(config, experiment)
    if CATALOGUE[table].drawn_from == "targets":
        return [f"results/targets/{target}.safetensors" for target in experiment["targets"]]
    return []


def inspected(experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None, part: str) -> dict[str, Any]:
    """What an experiment looks into: part "influence" (figures 6 to 8) or "visualisation" (figure 1).

    Raises InputError where it has no networks to look into.
    """
    if inspection is None:
        raise InputError(f"experiment '{experiment['name']}' {NO_NETWORKS}. Choose another experiment.")
    return inspection[part]


def inspected_files(
    experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None, part: str, folder: str
) -> dict[str, str]:
    """{role: what lies in a results folder of the network that a part looks into}, of the natural and the robust source."""
    looked = inspected(experiment, inspection, part)
    return {role: model_file(experiment["protocol"], looked, role, folder) for role in looked["sources"]}


def influence_table_files(
    experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None, figure: str
) -> dict[str, str | list[str]]:
    """What a table of influence is made of: "natural" and "robust", of one network or each a list by seed, "target", and where it asks for
    them "natural_all", "robust_all".
    """
    looked = inspected(experiment, inspection, "influence")
    seeds = seeds_of(looked) if CATALOGUE[figure].drawn_from == "influence_seeds" else [looked["seed"]]
    files: dict[str, str | list[str]] = {
        role: [model_file(experiment["protocol"], looked, role, "results/influence", seed) for seed in seeds]
        for role in looked["sources"]
    }
    if CATALOGUE[figure].drawn_from == "influence_all":
        through_all = inspected_files(experiment, inspection, "influence", "results/influence_all")
        files |= {f"{role}_all": file for role, file in through_all.items()}
    return {
        **files,
        "target": f"results/targets/{inspected(experiment, inspection, 'influence')['target']}.safetensors",
    }


def influence_cut_files(experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None) -> list[str]:
    """The rows of each network that influence_cut is made of."""
    looked = inspected(experiment, inspection, "influence_cut")
    return [
        model_file(experiment["protocol"], looked, role, "results/influence_cut", seed, "parquet")
        for role in looked["sources"]
        for seed in seeds_of(looked)
    ]


def experiment_rows(experiment: Mapping[str, Any], asked: str, figure: str) -> list[str]:
    """The files of rows that a figure of the experiment named `asked` draws; InputError where that is not the chosen one."""
    if asked != experiment["name"]:
        raise InputError(
            f"results/tables/{asked}: the chosen experiment is '{experiment['name']}'. Add --config experiment={asked}."
        )
    words = no_models(experiment, figure)
    if words:
        raise InputError(f"results/tables/{asked}/{figure}: experiment '{asked}' {words}.")
    return row_files(experiment, figure)


def claimed_rows(experiment: Mapping[str, Any]) -> list[str]:
    """The files of rows that claims are tested on: those of the paper's figures over fine-tuned models."""
    return list(dict.fromkeys(file for figure in CLAIMED_FIGURES for file in row_files(experiment, figure)))


def claimed_tables(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """{name: file} of the tables that claims are tested on, and {name: why the experiment has it not, after "the experiment"}.

    Of published rows nothing is computed beside them.
    """
    files, words = {}, {}
    # In the order in which the job gets them, as JSON with sorted keys.
    for name in sorted(CLAIMED_TABLES):
        words[name] = lacking(config, experiment, inspection, CATALOGUE[name])
        if not words[name] and experiment["rows"]:
            words[name] = "has the authors' rows only, and computes nothing beside them"
        if not words[name]:
            files[name] = f"results/tables/{experiment['name']}/{name}.csv"
    return files, {name: reason for name, reason in words.items() if reason}


def claimed_files(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> list[str]:
    """All that the experiment's claims are tested on, besides resources/."""
    return [*claimed_rows(experiment), *claimed_tables(config, experiment, inspection)[0].values()]


def study_rows(experiment: Mapping[str, Any], figure: str) -> list[str]:
    """The files of rows that the table of a study is made of. Raises InputError where the experiment does not take part in it."""
    drawn_from = CATALOGUE[figure].drawn_from
    if drawn_from == "attacked":
        return robustness_bound.row_files(experiment)
    if drawn_from == "arms":
        return nonrobustness.row_files(experiment, figure)
    return transferability.row_files(experiment, figure)


def audited(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> str:
    """The claims as tested on the paper's own logs; InputError where they have not been and are not now."""
    words = lacking(config, experiment, None, CATALOGUE["claims_compared"])
    if words:
        raise InputError(f"figures/claims_compared.pdf: experiment '{experiment['name']}' {words}.")
    return AUDIT


def printed_files(experiment: Mapping[str, Any], figure: str) -> list[str]:
    """The file of the paper's printed means, for table 5 and where a figure of the experiment overlays some of them."""
    overlaid = experiment["figures"][figure]["printed"] and any(
        cell.target in PAPER_TARGETS and cell.blocks == PRINTED_BLOCKS for cell in cells(experiment, figure)
    )
    return [PRINTED] if overlaid or figure in ("table5", "reproduction") else []


@functools.cache
def printed_cells() -> frozenset[tuple[str, int]]:
    """The (target, number of images) of which Table 5 prints means, of all four of the paper's sources."""
    with (Path(__file__).resolve().parents[3] / PRINTED).open(encoding="utf-8", newline="") as file:
        return frozenset((line["target"], int(line["images"])) for line in csv.DictReader(file))


def no_models(experiment: Mapping[str, Any], figure: str) -> str:
    """Why none of an experiment's models is one that a figure shows, in words that follow "the experiment"; empty where some are."""
    if next(cells(experiment, figure), None):
        return not_printed(experiment) if figure == "reproduction" else ""
    selection = experiment["figures"][figure]
    if selection["x"] == "resolution" and experiment["resolution"] is None:
        return f"has no model of {figure}, which shrinks the targets' images. Add 'resolution', such as {{pixels: [16, 8]}}, to an experiment that trains"
    if not set(selection["blocks"]) & set(experiment["blocks"]):
        shown, have = (_blocks(counts) for counts in (selection["blocks"], experiment["blocks"]))
        return f"has no model of {figure}, which shows {shown} trained; the experiment has {have}. Add one of these to 'blocks', or choose others under 'figures'"
    roles = " or ".join(f"'{role}'" for role in selection["roles"])
    return f"has no model of {figure}, which shows {roles}. Give one of these roles to a source"


def not_printed(experiment: Mapping[str, Any]) -> str:
    """Why nothing of an experiment stands beside the paper's Table 5, in words that follow "the experiment"; empty where something does."""
    mine = list(cells(experiment, "reproduction"))
    if any(cell.blocks == PRINTED_BLOCKS and (cell.target, cell.images) in printed_cells() for cell in mine):
        return ""
    shared = [target for target in experiment["targets"] if target in PAPER_TARGETS]
    if not shared:
        return (
            f"shares no target with the paper's Table 5, which prints {', '.join(PAPER_TARGETS)}; the experiment has "
            f"{', '.join(experiment['targets'])}. Choose or make one on the paper's, such as slice"
        )
    if not any(cell.blocks == PRINTED_BLOCKS for cell in mine):
        return f"has no model with {PRINTED_BLOCKS} trained blocks, which the paper's Table 5 prints. Leave 'blocks' of 'reproduction' out of 'figures'"
    sizes = sorted({images for target, images in printed_cells() if target in shared})
    return (
        f"shares no number of images with the paper's Table 5, which prints {', '.join(map(str, sizes))} of "
        f"{', '.join(shared)}. Add one of these to 'images'"
    )


def _blocks(counts: Sequence[int]) -> str:
    """Counts of trained blocks in words, such as "0 or 3 blocks"."""
    return f"{' or '.join(map(str, counts))} block{'' if list(counts) == [1] else 's'}"


def lacking(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None, entry: Entry
) -> str:
    """Why an experiment cannot show a figure or table, in words that follow "the experiment"; empty where it can."""
    if entry.drawn_from == "rows":
        return no_models(experiment, entry.name)
    if entry.drawn_from in PART_OF and inspection is None:
        return NO_NETWORKS
    if entry.name in COMPARISONS:
        return missing(experiment, entry.name)
    if entry.drawn_from == "arms":
        return nonrobustness.missing(experiment)
    if entry.drawn_from == "attacked" and experiment["robustness_bound"] is None:
        return NO_NETWORKS_TO_ATTACK
    if entry.drawn_from == "claims_compared" and experiment["name"] == Path(AUDIT).parent.name:
        return "is the one that others stand beside"
    if entry.drawn_from == "claims_compared" and not Path(AUDIT).is_file():
        return "has no verdicts on the paper's logs beside it. First: snakemake figures/claims.csv --config experiment=published"
    if entry.drawn_from == "robustness" and not known_sources(config, experiment):
        return "has no source whose robustness is known. Name the sources' test images in 'robustness: test_data' to see it"
    return ""
