"""What can be asked for: the list for an experiment, the answer to a misspelt file, and docs/outputs.md. No torch here."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from advtransfer.config import nonrobustness
from advtransfer.config.catalogue import CATALOGUE, CATEGORIES, Entry
from advtransfer.config.claims import FIGURES
from advtransfer.config.grid import transfer_jobs
from advtransfer.config.inputs import PART_OF, claimed_tables, known_sources, lacking
from advtransfer.config.inspection import LARGEST_HESSIAN, seeds_of
from advtransfer.config.results import RESULTS
from advtransfer.config.robustness_bound import attacked
from advtransfer.config.transferability import COMPARISONS, compared
from advtransfer.errors import InputError


def outputs() -> list[str]:
    """Every file that Snakemake can make in figures/, without the folder."""
    return [Path(file).name for entry in CATALOGUE.values() for file in entry.outputs]


def refuse_unknown(file: str) -> list[str]:
    """Raise InputError with the nearest names for a file in figures/ that nothing makes."""
    close = difflib.get_close_matches(file, outputs(), n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(f'figures/{name}' for name in close)}? " if close else ""
    raise InputError(f"figures/{file}: there is no such figure or table. {remedy}'snakemake list' shows all.")


def needs(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    entry: Entry,
    left: bool = True,
) -> str:
    """What a figure or table that the experiment can show is made of, in a few words; of models, with `left`, how many are still to train."""
    if entry.drawn_from == "rows":
        return _models(experiment, [entry.name], left)
    if entry.drawn_from in PART_OF:
        looked = inspection[PART_OF[entry.drawn_from]]
        seeds = seeds_of(looked) if entry.drawn_from in ("influence_seeds", "influence_cut") else [looked["seed"]]
        return f"{2 * len(seeds)} networks on {looked['images']:,} images of {looked['target']}"
    if entry.drawn_from == "attacked":
        networks = sum(len(job.seeds) for _, job in attacked(experiment))
        return f"{networks} networks, each on {experiment['robustness_bound']['test_images']:,} attacked images"
    if entry.name == nonrobustness.FEATURES:
        networks = {
            (file, "" if file.startswith("results/sources/") else seed)
            for _, job in nonrobustness.compared(experiment)
            for files in job.networks.values()
            for file, seed in zip(files, job.seeds, strict=True)
        }
        return f"{len(networks)} networks, on {experiment['nonrobustness']['features']['images']:,} images"
    if entry.drawn_from == "arms":
        jobs = nonrobustness.attacked(experiment, *nonrobustness.FIGURES[entry.name])
        networks = sum(len(job.seeds) for _, job in jobs)
        return f"{networks} networks, each on {experiment['nonrobustness']['test_images']:,} attacked images"
    if entry.name in COMPARISONS:
        jobs = [job for _, job in compared(experiment, COMPARISONS[entry.name])]
        settings = experiment["transferability"][COMPARISONS[entry.name]]
        return (
            f"{len(jobs)} pairs of a source and a target, each with {len(settings['seeds'])} reference networks and up to "
            f"{settings['test_images']:,} attacked images"
        )
    if entry.drawn_from in ("robustness", "sources"):
        return f"{len(known_sources(config, experiment))} sources"
    if entry.drawn_from == "targets":
        return f"{len(experiment['targets'])} targets"
    if entry.drawn_from == "claims":
        models = _models(experiment, FIGURES, left)
        return " and ".join([models, *(f"table {name}" for name in claimed_tables(config, experiment, inspection)[0])])
    if entry.drawn_from == "claims_compared":
        return "the claims of both"
    if entry.drawn_from == "synthetic":
        return f"{config['transferability']['synthetic']['seeds']} seeds"
    return "nothing"


def _models(experiment: Mapping[str, Any], figures: Iterable[str], left: bool) -> str:
    """How many fine-tuned models figures show, in words."""
    if experiment["rows"]:
        return "the authors' logs"
    jobs = transfer_jobs(experiment, figures)
    words = f"{sum(job.models for job in jobs.values()):,} models"
    to_train = sum(job.models for file, job in jobs.items() if left and not Path(file).is_file())
    return f"{words}, {to_train:,} to train" if left else words


def wanted_by_default(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> list[str]:
    """The files in figures/ that the experiment can show without further data.

    Of published rows, the targets' table is left out, as it alone would need their images, and what is computed without them; so is
    influence_cut where its Hessian may be larger than is decomposed (asked for, it is tried).
    """
    large = inspection is not None and inspection["influence_cut"]["hessian_rows"] > LARGEST_HESSIAN
    return [
        file
        for entry in CATALOGUE.values()
        for file in entry.outputs
        if not lacking(config, experiment, inspection, entry)
        and not (experiment["rows"] and entry.drawn_from in ("targets", "synthetic", "controlled"))
        and not (large and entry.drawn_from == "influence_cut")
    ]


def listing(
    config: Mapping[str, Any], experiment: Mapping[str, Any], inspection: Mapping[str, Any] | None
) -> list[str]:
    """A line for each figure and table, by category: its first file, its caption, and what it needs or why it cannot be had."""
    lines = [
        f"Experiment {experiment['name']}, protocol {experiment['protocol']}. Ask for one with: snakemake figures/NAME"
    ]
    wide = max(len(Path(entry.outputs[0]).name) for entry in CATALOGUE.values())
    for category, title in CATEGORIES.items():
        lines.append(title)
        for entry in CATALOGUE.values():
            if entry.category == category:
                absent = lacking(config, experiment, inspection, entry)
                words = f"not here: the experiment {absent}" if absent else needs(config, experiment, inspection, entry)
                lines.append(f"  {Path(entry.outputs[0]).name:{wide}}  {described(entry)} [{words}]")
    return lines


def described(entry: Entry) -> str:
    """An entry's caption and where it comes from."""
    return f"{entry.caption} ({entry.section or entry.paper})"


def page() -> str:
    """docs/outputs.md: what each file of figures/ and results/ holds."""
    lines = [
        "# What each file holds",
        "",
        "Made from the catalogue (`scripts/advtransfer/config/catalogue.py`) by `uv run snakemake -f docs/outputs.md`; a test",
        "compares it. `uv run snakemake list` shows the figures and tables of an experiment, and what they need.",
        "",
        "Accuracies are fractions unless a column says percent, losses are nats, epsilons are in pixel units [0, 1].",
        "",
        "## figures/",
        "",
        "Beside each figure and each table with a `.md` lies its record, `{name}.json` ([provenance](provenance.md)); beside `claims.md`",
        "`claims_text.json`.",
        "",
    ]
    first: dict[tuple[str, ...], str] = {}
    for category, title in CATEGORIES.items():
        lines += [f"### {title}", ""]
        for entry in CATALOGUE.values():
            if entry.category == category:
                lines += _section(entry, first.setdefault(tuple(entry.columns or ()), entry.name))
    lines += ["## results/", ""]
    for result in RESULTS:
        lines += [f"### `{result.path}`", "", result.holds, ""]
        lines += _columns(result.columns)
    return "\n".join(lines).rstrip() + "\n"


def _section(entry: Entry, alike: str) -> list[str]:
    """What an entry's files hold; alike: the first entry with the same columns."""
    files = ", ".join(f"`{Path(file).name}`" for file in entry.files)
    words = f"**{files}**: {described(entry)}."
    if "pdf" in entry.endings:
        words += f" Drawn from `results/tables/EXPERIMENT/{entry.name}.{entry.table}`."
    if entry.columns and alike != entry.name:
        return [f"{words} Columns as those of `{alike}`.", ""]
    return [words, "", *_columns(entry.columns or {})]


def _columns(columns: Mapping[str, str]) -> list[str]:
    if not columns:
        return []
    return [
        "| name | what it holds |",
        "|---|---|",
        *(f"| `{name}` | {words} |" for name, words in columns.items()),
        "",
    ]
