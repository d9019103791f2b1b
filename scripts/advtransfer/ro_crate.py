"""An experiment's figures, tables and all that lies behind them as a Workflow Run RO-Crate, profile 0.5: its metadata file. No torch here.

The project's folder becomes the crate: https://www.researchobject.org/workflow-run-crate. Written out plainly, as JSON-LD; all facts are
those of the records in figures/ (`figure_records`).
"""

import mimetypes
import tomllib
from pathlib import Path
from typing import Any

from advtransfer import figure_records
from advtransfer.config.catalogue import CATALOGUE
from advtransfer.errors import InputError

# The name that the specification gives this file, in the folder that it describes.
NAME = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"
PARTS = (WORKFLOW, "config.yaml", "pyproject.toml")
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
WORKFLOW_PROFILE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    WORKFLOW_PROFILE: ("Workflow RO-Crate", "1.0"),
}
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"


def ro_crate(experiment: str) -> dict[str, Any]:
    """The metadata of all records of an experiment, JSON-compatible: files that exist, and for each record an action that made its files.

    Raises InputError where there is no record, or one cannot be read or was changed.
    """
    records = {
        path: record
        for path in sorted({path for entry in CATALOGUE.values() for path in entry.records})
        if Path(path).is_file() and (record := figure_records.read(path))["experiment"] == experiment
    }
    if not records:
        raise InputError(
            f"figures/: no record of experiment '{experiment}'. First: snakemake --config experiment={experiment}"
        )
    parts = dict.fromkeys(PARTS)
    for path, record in records.items():
        parts |= dict.fromkeys([*record["files"], path, *record["behind"]])
    files = {part: _file(part) for part in parts if Path(part).is_file()}
    last = max(records.values(), key=lambda record: record["made"])
    project = tomllib.loads((figure_records.PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    licence = f"https://spdx.org/licenses/{project['license']}"
    files[WORKFLOW] |= {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": project["name"],
        "programmingLanguage": _to(SNAKEMAKE),
        "version": (last["revision"] or {}).get("commit") or project["version"],
    }
    actions = [_action(path, record, files) for path, record in records.items()]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{project['name']}, experiment {experiment}",
        "description": project["description"],
        "datePublished": last["made"],
        "license": _to(licence),
        "conformsTo": [_to(profile) for profile in PROFILES],
        "mainEntity": _to(WORKFLOW),
        "hasPart": [_to(part) for part in files],
        "mentions": [_to(action["@id"]) for action in actions],
    }
    descriptor = {
        "@id": NAME,
        "@type": "CreativeWork",
        "about": _to("./"),
        "conformsTo": [_to("https://w3id.org/ro/crate/1.1"), _to(WORKFLOW_PROFILE)],
    }
    about = [
        {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
        for profile, (name, version) in PROFILES.items()
    ]
    about.append({"@id": licence, "@type": "CreativeWork", "name": project["license"]})
    language = {"@id": SNAKEMAKE, "@type": "ComputerLanguage", "name": "Snakemake"}
    about.append({**language, "url": _to("https://snakemake.readthedocs.io"), "version": last["versions"]["snakemake"]})
    return {"@context": CONTEXT, "@graph": [descriptor, root, *files.values(), *actions, *about]}


def _file(path: str) -> dict[str, Any]:
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    size = str(Path(path).stat().st_size)
    return {
        "@id": path,
        "@type": "File",
        "encodingFormat": kind,
        "contentSize": size,
        "sha256": figure_records.sha256(path),
    }


def _action(path: str, record: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
    """The drawing of a figure or the writing of a table, of all that lay behind it."""
    name = record["name"].removesuffix("_text")
    told = f"{name}: {CATALOGUE[name].caption}"
    return {
        "@id": f"#{Path(path).stem}",
        "@type": "CreateAction",
        "name": told,
        "instrument": _to(WORKFLOW),
        "object": [_to(file) for file in record["behind"] if file in files],
        "result": [_to(file) for file in (*record["files"], path) if file in files],
        "endTime": record["made"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def _to(identifier: str) -> dict[str, str]:
    return {"@id": identifier}
