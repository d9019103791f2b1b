"""What the report of an experiment has: which entries of the catalogue, in which order, why others are absent, whose run times. No torch here.

`config` is the whole configuration, checked; `experiment` and `inspection` are resolved (see `grid` and `inspection`).
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from advtransfer.config import inputs, nonrobustness, robustness_bound, transferability
from advtransfer.config.catalogue import CATALOGUE, DRAWN, LIANG, MAIN, NERN, OURS, ZHANG, Entry
from advtransfer.config.grid import transfer_jobs
from advtransfer.config.inspection import ROLES, model_file, seeds_of
from advtransfer.config.outputs import needs, wanted_by_default
from advtransfer.config.resolve import resolve_costs

TEMPLATE = "resources/report/page.html"
# The sections: the verdict, then a paper each. {title: (id, the paper, whether its verdicts)}
VERDICT = "verdict"
SECTIONS = {
    "The verdict": (VERDICT, ""),
    f"{MAIN}, Adversarially-trained deep nets transfer better": ("utrera", MAIN),
    "Beyond the paper": ("beyond", OURS),
    f"{LIANG}, adversarial and knowledge transferability": ("liang", LIANG),
    f"{NERN}, robustness bounds of linear probes": ("nern", NERN),
    f"{ZHANG}, non-robustness handed on by fine-tuning": ("zhang", ZHANG),
}
NOT_YET = "not computed yet: snakemake {file} --config experiment={experiment}"


def of_section(identity: str, paper: str) -> list[Entry]:
    """The catalogue's entries of a section of the report, in their order."""
    return [
        entry
        for entry in CATALOGUE.values()
        if (entry.category == VERDICT if identity == VERDICT else entry.paper == paper and entry.category != VERDICT)
    ]


def picture_of(entry: Entry) -> str:
    """The file of a figure's picture; empty of a table."""
    return f"figures/{entry.name}.png" if entry.name in DRAWN else ""


def table_of(experiment: str, entry: Entry) -> str:
    """The file of an entry's table, for reading: that of the experiment, or of a table of the configuration the one that is shown.

    Empty of figures that show pictures.
    """
    if entry.table != "csv":
        return ""
    if not entry.tabulate.startswith("descriptions."):
        return f"results/tables/{experiment}/{entry.name}.csv"
    return f"figures/{entry.name}.csv"


def settings(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """What the configuration says of the experiment, and what is looked into, JSON-compatible."""
    return {**resolve_costs(config, experiment, counts), "inspection": inspection}


def contents(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    stale: Collection[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """{entry: {"files": that the report shows, "made_from": in words, "absent": why it is not shown, empty where it is}}, JSON-compatible.

    stale: None for a report of all that the experiment shows by default; files that were made otherwise than now (`stale.find`) for one of
    what there is, without these. Tables 3 and 4 do not say whose they are, and are left out of that.
    """
    everything = set(wanted_by_default(config, experiment, inspection))
    found = {}
    for name, entry in CATALOGUE.items():
        files = [file for file in (picture_of(entry), table_of(experiment["name"], entry)) if file]
        words = inputs.lacking(config, experiment, inspection, entry)
        absent = f"the experiment {words}" if words else ""
        if not absent and entry.outputs[0] not in everything:
            absent = f"not made by default: snakemake {entry.outputs[0]} --config experiment={experiment['name']}"
        if not absent and stale is not None and entry.drawn_from != "protocol":
            files = (
                [] if entry.drawn_from in ("sources", "targets") else _current(experiment["name"], entry, files, stale)
            )
            absent = "" if files else NOT_YET.format(file=entry.outputs[0], experiment=experiment["name"])
        made = "" if absent else needs(config, experiment, inspection, entry, left=False)
        found[name] = {"files": [] if absent else files, "made_from": made, "absent": absent}
    return found


def _current(experiment: str, entry: Entry, files: Iterable[str], stale: Collection[str]) -> list[str]:
    """Those of an entry's files that there are and that are as they would be made now; none where its table is not."""
    behind = f"results/tables/{experiment}/{entry.name}.{entry.table}"
    if behind in stale or not Path(behind).is_file():
        return []
    return [file for file in files if Path(file).is_file() and file not in stale]


def described(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> list[str]:
    """The files of tables that the configuration alone makes: in a report of what there is as well."""
    return [
        entry.outputs[0]
        for entry in CATALOGUE.values()
        if entry.drawn_from == "protocol" and not inputs.lacking(config, experiment, inspection, entry)
    ]


def timed(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(kind of job, Snakemake's record of its run time) of every job of the experiment that leaves one, made or not. told: `settings`."""
    experiment = told["experiment"]
    results = list(transfer_jobs(experiment))
    results += [file for file, _ in robustness_bound.attacked(experiment)]
    results += [file for study in (nonrobustness.trained, nonrobustness.attacked) for file, _ in study(experiment)]
    for comparison, chosen in experiment["transferability"].items():
        for file, job in transferability.compared(experiment, comparison):
            results += [file, *job.references(chosen)]
    results += [f"results/sources/{source}.safetensors" for source in told["sources"]]
    if told["inspection"]:
        for folder, part in (
            ("influence", "influence"),
            ("influence_cut", "influence_cut"),
            ("influence_all", "influence"),
        ):
            looked = told["inspection"][part]
            for role, seed in itertools.product(ROLES, seeds_of(looked)):
                results.append(model_file(experiment["protocol"], looked, role, f"results/{folder}", seed))
    for file in dict.fromkeys(results):
        kind = Path(file).parts[1]
        yield kind, str(Path("results/benchmarks", *Path(file).parts[1:]).with_suffix(".tsv"))
