# Validation, wildcard constraints and the functions that rules take their inputs and parameters from.

import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from advtransfer import settings
from advtransfer.errors import InputError
from advtransfer.grid import FIGURES, row_files
from advtransfer.inspection import model_file, resolve_inspection
from advtransfer.provenance import code_of
from advtransfer.targets.counts import COUNTS
from advtransfer.targets.listing import count, fingerprint

# What is drawn from a table: the figures over fine-tuned models, those that look into single networks, and the robustness of
# the sources themselves. Some tables are pictures.
GRID = [figure for figure in FIGURES if figure != "table5"]
INSPECTED = ["fig1", "fig6", "fig7", "fig8", "influence_all"]
PICTURES = ["fig1", "fig6", "fig7"]
DRAWN = [*GRID, *INSPECTED, "fig9", "source_robustness"]
PUBLISHED_ROWS = "results/published/rows.parquet"

# The end of every command: messages go to the job's log, and the last of a failed job to the terminal as well.
# (Snakemake's --show-failed-logs says nothing where profiles/default keeps it quiet about rules.)
LOGGED = " 2> {log} || {{ tail -n 1 {log} >&2; exit 1; }}"


def counts_of(target):
    """How many images and classes a target has, known before any of it is read or downloaded."""
    entry = config["targets"][target]
    if entry["kind"] == "image_folder":
        return count(entry, f"config: target '{target}'")
    return COUNTS[entry.get("dataset", entry["kind"])]


def checked_experiment():
    """The chosen experiment and what of it is looked into, resolved, once the whole configuration has been checked."""
    try:
        settings.check(config, Path(workflow.basedir) / "rules" / "config.schema.yaml")
        targets = config["experiments"][config["experiment"]]["targets"]
        counts = {target: counts_of(target) for target in targets}
        experiment = settings.resolve_experiment(config, counts, PUBLISHED_ROWS)
        return experiment, resolve_inspection(config, experiment, counts)
    except InputError as error:
        raise WorkflowError(str(error)) from None


EXPERIMENT, INSPECTION = checked_experiment()

# No parameter of a rule: where a file comes from changes nothing, so another mirror runs nothing again.
os.environ.update(ADVTRANSFER_MIRROR=config["mirror"] or "")


def named(kind, *kinds):
    """A pattern for the names of all entries of `kind` ("sources"), or of those of the given kinds only."""
    names = [
        name
        for name, entry in config[kind].items()
        if not kinds or entry["kind"] in kinds
    ]
    return "|".join(names) or "(?!)"


wildcard_constraints:
    source=named("sources"),
    target=named("targets"),
    protocol="|".join(config["protocols"]),
    experiment="|".join(config["experiments"]),
    figure="|".join([*DRAWN, "table5"]),
    blocks=r"\d+",
    images=r"\d+",
    first=r"\d+",
    last=r"\d+",
    seed=r"\d+",


def as_json(value):
    """Structured settings as one parameter: Snakemake compares several as a set, which hides two swapped values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# ---------------------------------------------------------------------------------------------------------- targets


def target_settings(wildcards):
    entry = dict(config["targets"][wildcards.target])
    entry.pop("label", None)
    return as_json(entry)


def target_files(wildcards):
    """A hash of an image folder's file names and sizes, so that a changed folder is read again."""
    entry = config["targets"][wildcards.target]
    if entry["kind"] != "image_folder":
        return "none"
    return fingerprint(entry, f"config: target '{wildcards.target}'")


def target_code(wildcards):
    kind = config["targets"][wildcards.target]["kind"]
    return code_of("target.py", f"advtransfer/targets/{kind}.py")


# ---------------------------------------------------------------------------------------------------------- sources


def source_settings(wildcards):
    return as_json(settings.resolve_source(config["sources"][wildcards.source]))


def training_data(wildcards):
    return (
        f"results/targets/{config['sources'][wildcards.source]['dataset']}.safetensors"
    )


def checkpoint(wildcards):
    """The file that a source is read from: of the user, of the project, or one to download."""
    entry = config["sources"][wildcards.source]
    if entry["kind"] == "download":
        return f"results/downloads/{entry['file']}"
    return entry["path"]


def download_entry(wildcards):
    """The one entry of the configuration that a downloaded file belongs to."""
    log = config["published"]
    if wildcards.file == Path(log["url"]).name:
        return {"url": log["url"], "hash": f"sha256:{log['sha256']}"}
    return next(
        entry
        for entry in config["sources"].values()
        if entry.get("file") == wildcards.file
    )


def download_hash(wildcards):
    """The option that says what a downloaded file must hash to; nothing where no hash is published."""
    known = download_entry(wildcards)["hash"]
    return f"--hash {known}" if known else ""


def downloadable():
    files = [
        entry["file"]
        for entry in config["sources"].values()
        if entry["kind"] == "download"
    ]
    return "|".join([*files, Path(config["published"]["url"]).name]).replace(".", r"\.")


# ------------------------------------------------------------------------------------------------------- robustness


def test_data(wildcards):
    """The test images that belong to a source, if they are given."""
    target = settings.test_data_of(config, wildcards.source)
    return f"results/targets/{target}.safetensors" if target else []


def robustness_settings(wildcards):
    return as_json(settings.resolve_robustness(config, wildcards.source))


def known_sources():
    """The experiment's sources that can tell their robustness: by test images, or by their training record."""
    if EXPERIMENT["rows"]:
        return []
    return [
        source
        for source in settings.experiment_sources(EXPERIMENT)
        if settings.test_data_of(config, source)
        or config["sources"][source]["kind"] != "download"
    ]


def known_robustness(wildcards):
    sources = known_sources()
    if not sources:
        raise WorkflowError(
            f"figures/source_robustness.pdf: experiment '{EXPERIMENT['name']}' has no source whose robustness is known. "
            "Name their test images in 'robustness: test_data'."
        )
    return [f"results/robustness/{source}.parquet" for source in sources]


def described_files(wildcards):
    """What tables 3 and 4 are read from; tables 1 and 2 are the configuration's alone."""
    if wildcards.description == "table3":
        return [f"results/robustness/{source}.parquet" for source in known_sources()]
    if wildcards.description == "table4":
        return [
            f"results/targets/{target}.safetensors" for target in EXPERIMENT["targets"]
        ]
    return []


def description_settings(wildcards):
    return as_json(settings.describe(config, EXPERIMENT, wildcards.description))


# --------------------------------------------------------------------------------------------------------- transfers


def protocol_settings(wildcards):
    return as_json(
        settings.resolve_protocol(config, wildcards.protocol, int(wildcards.images))
    )


def chunk_seeds(wildcards):
    return as_json(
        settings.seeds_of_chunk(config, int(wildcards.first), int(wildcards.last))
    )


# ---------------------------------------------------------------------------------------------- single networks


def inspected(part):
    """What an experiment looks into, for figures 1 and 6 to 8."""
    if INSPECTION is None:
        raise WorkflowError(
            f"experiment '{EXPERIMENT['name']}' has no networks to look into: it needs sources 'natural' and 'robust', and "
            "rows that are computed. Choose another experiment."
        )
    return INSPECTION[part]


def both_sources(part, folder):
    """What lies in a folder of the natural source and of the robust one."""
    return {
        role: model_file(EXPERIMENT["protocol"], inspected(part), role, folder)
        for role in inspected(part)["sources"]
    }


def influence_settings(wildcards):
    return as_json(
        {key: inspected("influence")[key] for key in ("pinv_rcond", "damping")}
    )


def visualisation_settings(wildcards):
    looked = inspected("visualisation")
    return as_json({key: looked[key] for key in ("units", "steps", "step_size")})


def inspected_target(part):
    return f"results/targets/{inspected(part)['target']}.safetensors"


def schematic_source():
    """The natural source's entry: figure 9 shows a network, and needs none of its weights."""
    return as_json(
        settings.resolve_source(config["sources"][EXPERIMENT["sources"]["natural"]])
    )


# ------------------------------------------------------------------------------------------------ tables and figures


def experiment_rows(wildcards):
    if wildcards.experiment != EXPERIMENT["name"]:
        raise WorkflowError(
            f"results/tables/{wildcards.experiment}: the chosen experiment is '{EXPERIMENT['name']}'. "
            f"Add --config experiment={wildcards.experiment}."
        )
    return row_files(EXPERIMENT, wildcards.figure)


def published_means(wildcards):
    """The paper's own values, which only table 5 shows beside ours."""
    if wildcards.figure != "table5":
        return []
    return "resources/published/table5.csv"


def experiment_json(wildcards):
    experiment = settings.experiment_for(EXPERIMENT, wildcards.figure)
    if wildcards.figure in INSPECTED:
        part = "visualisation" if wildcards.figure == "fig1" else "influence"
        experiment = {**experiment, part: inspected(part)}
    return as_json(experiment)


def figure_table(wildcards):
    ending = "safetensors" if wildcards.figure in PICTURES else "csv"
    return f"results/tables/{EXPERIMENT['name']}/{wildcards.figure}.{ending}"


def figure_style(wildcards):
    return as_json(
        {**config["style"].get("all", {}), **config["style"].get(wildcards.figure, {})}
    )


def all_figures():
    """Everything that the experiment can show without further data; table 4 of the published logs would need downloads."""
    tables = [1, 2, 3, 5] if EXPERIMENT["rows"] else [1, 2, 3, 4, 5]
    figures = [
        *GRID,
        "fig9",
        *(INSPECTED if INSPECTION else []),
        *(["source_robustness"] if known_sources() else []),
    ]
    return [
        *(f"figures/{figure}.pdf" for figure in figures),
        *(["figures/fig8.csv"] if INSPECTION else []),
        *(f"figures/table{number}.csv" for number in tables),
    ]


# ---------------------------------------------------------------------------------------------------------- estimate


def estimate_settings():
    """The experiment and all that its cost depends on."""
    sizes = {images for sizes in EXPERIMENT["sizes"].values() for images, _ in sizes}
    return as_json(
        {
            "experiment": EXPERIMENT,
            "protocols": {
                str(images): settings.resolve_protocol(
                    config, EXPERIMENT["protocol"], images
                )
                for images in sizes
            },
            "sources": {
                name: settings.resolve_source(entry)
                for name, entry in config["sources"].items()
            },
            "targets": {
                target: {**config["targets"][target], **counts_of(target)}
                for target in EXPERIMENT["targets"]
            },
            "drawn_seeds": len(config["seeds"]),
        }
    )
