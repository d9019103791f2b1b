"""The report of an experiment: one HTML file that holds every figure and table with its caption, and asks the network for nothing.

Pictures are in it as data, styles inline, scripts none. Its words come from the catalogue and from the tables themselves. No torch here.
"""

import base64
import csv
import datetime
import math
import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from advtransfer import figure_records
from advtransfer.artefacts import load_csv
from advtransfer.config.catalogue import CATALOGUE, DRAWN, ROLES, Entry
from advtransfer.config.claims import VERDICTS
from advtransfer.config.report import SECTIONS, VERDICT, of_section, picture_of, table_of, timed
from advtransfer.errors import InputError
from advtransfer.tables import table5
from advtransfer.tables.claims import NOT_TESTABLE, PAPERS, in_roles, in_words, number
from advtransfer.tables.reproduction import sentence, summary

# Longer tables are folded away; of those beyond the second number only the beginning is shown.
FOLDED, MOST = 40, 500
KINDS = {
    "transfer": "fine-tuning",
    "sources": "training of sources",
    "references": "reference networks",
    "nonrobustness_networks": "fine-tuning (non-robustness)",
    "robustness_bound": "networks under attack (robustness bound)",
    "nonrobustness": "networks under attack (non-robustness)",
    "transferability": "attacks carried over",
    "influence": "influence through the head",
    "influence_cut": "influence by every inverse",
    "influence_all": "influence through all weights",
}


def write_page(told: Mapping[str, Any], contents: Mapping[str, Mapping[str, Any]], template: str | Path) -> str:
    """The page as HTML.

    told: `config.report.settings`. contents: `config.report.contents`: which entries are shown, of which files, and why others are not.
    template: file of the page (jinja2).

    Raises InputError where a file that is to be shown is missing, or is no picture or table.
    """
    experiment = told["experiment"]
    sections, absent = [], []
    for title, (identity, paper) in SECTIONS.items():
        entries = of_section(identity, paper)
        shown = [_entry(entry, contents[entry.name], told) for entry in entries if not contents[entry.name]["absent"]]
        absent += [
            {"name": _heading(entry), "caption": entry.caption, "why": contents[entry.name]["absent"]}
            for entry in entries
            if contents[entry.name]["absent"]
        ]
        if shown:
            sections.append({"id": identity, "title": title, "entries": shown})
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"strong": _strong, "stop": _stop, "breakable": _breakable}
    text = Path(template).read_text(encoding="utf-8")
    return made.from_string(text).render(
        experiment=experiment,
        in_roles=in_roles(experiment).strip(),
        targets=[experiment["labels"].get(target, target) for target in experiment["targets"]],
        sources=_sources(experiment),
        sections=sections,
        absent=absent,
        verdict=_verdict(contents, experiment),
        verdicts=VERDICTS,
        configuration=yaml.safe_dump(_plain(told), sort_keys=False, allow_unicode=True, width=120),
        times=run_times(told),
        versions=_installed(),
        machine=_machine(),
        revision=_revision(),
        written=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _sources(experiment: Mapping[str, Any]) -> list[str]:
    """The sources in words, each with its role where that says more."""
    found = []
    for role in ROLES:
        if role in experiment["sources"]:
            name = experiment["labels"].get(experiment["sources"][role], experiment["sources"][role])
            found.append(name if name == role else f"{name} ({role.replace('_', ' ')})")
    return found


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is shown: without what is worked out of it for drawing."""
    hidden = ("labels", "figures")
    return {**told, "experiment": {key: value for key, value in told["experiment"].items() if key not in hidden}}


def _heading(entry: Entry) -> str:
    own = entry.name.replace("_", " ").capitalize()
    if entry.category == VERDICT:
        return f"{own} of {entry.section}" if entry.section else own
    return entry.section[:1].upper() + entry.section[1:] or own


def _entry(entry: Entry, content: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a figure or table."""
    experiment = told["experiment"]
    picture, file = picture_of(entry), table_of(experiment["name"], entry)
    frame = None
    if file in content["files"]:
        frame = pd.read_csv(
            load_csv(file) if file.startswith("results/") else file, dtype={"epochs": str, "run_epochs": str}
        )
    return {
        "id": entry.name,
        "heading": _heading(entry),
        "caption": entry.caption,
        "notes": _notes(entry, content["made_from"], frame, experiment),
        "picture": _picture(picture, entry) if picture in content["files"] else None,
        "not_drawn": picture if picture and picture not in content["files"] else "",
        "table": None if frame is None or entry.name == "claims" else _table(entry, frame, told, file),
        "files": entry.outputs,
    }


def _notes(entry: Entry, made_from: str, frame: pd.DataFrame | None, experiment: Mapping[str, Any]) -> list[str]:
    """What a reader has to know of an entry: what it is made of, how, its intervals, what is missing."""
    notes = [f"Made from: {made_from if made_from != 'nothing' else 'the configuration alone'}."]
    columns = () if frame is None else tuple(frame.columns)
    if entry.drawn_from == "rows":
        notes.append(f"Protocol: {experiment['protocol']}.")
    if {"low", "low_percent"} & set(columns) and entry.name not in ("claims", "claims_compared"):
        kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
        notes.append(
            f"Intervals: 95% of the mean over seeds ({kind}), point by point; they do not cover another draw of the sources."
        )
    if "models_expected" in columns:
        short = frame[(frame["quantity"] == "missing")]
        none = int((short["models"] == 0).sum())
        if len(short):
            notes.append(f"Missing: {none} of its cells have no model, {len(short) - none} have fewer than planned.")
    if entry.name == "reproduction" and frame is not None:
        notes.append(sentence(summary(frame)))
    return notes


def _picture(file: str, entry: Entry) -> dict[str, Any]:
    """A picture as data, with its size in pixels and words for who cannot see it."""
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file. Ask Snakemake for it first.")
    content = Path(file).read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise InputError(f"{file}: not a PNG file. Remove it and make it again.")
    width, height = struct.unpack(">II", content[16:24])
    numbers = " Its numbers follow as a table." if entry.table == "csv" else ""
    return {
        "data": f"data:image/png;base64,{base64.b64encode(content).decode()}",
        "width": width,
        "height": height,
        "words": f"{_heading(entry)}: {_stop(entry.caption)}{numbers}",
    }


def _table(entry: Entry, frame: pd.DataFrame, told: Mapping[str, Any], file: str) -> dict[str, Any]:
    """A table in texts: Table 5 as it is printed, others as they are."""
    behind = entry.name in DRAWN
    notes: list[str] = []
    if entry.name == "table5":
        experiment = told["experiment"]
        head, rows, notes = table5.wide(frame, experiment, experiment["epochs"], "**{}**".format)
        columns = dict.fromkeys(head, "")
    else:
        columns = {name: (entry.columns or {}).get(name, "") for name in frame.columns}
        rows = [[cell_text(value) for value in line] for line in frame.head(MOST).itertuples(index=False)]
    left_out = len(frame) - MOST if len(frame) > MOST and entry.name != "table5" else 0
    return {
        "columns": columns,
        "rows": rows,
        "notes": notes,
        "numeric": [all(_is_number(row[index]) for row in rows) for index in range(len(columns))],
        "folded": behind or len(rows) > FOLDED,
        "words": f"{'The numbers behind it' if behind else 'The table'}: {len(frame):,} line{'' if len(frame) == 1 else 's'}",
        "left_out": f"{left_out:,} more lines are in {file}." if left_out > 0 else "",
    }


def cell_text(value: Any) -> str:
    """A value of a table in words: empty where there is none, four digits of a fraction, whole numbers whole."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"
    return str(value)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+\d.,e%†\N{EN DASH} ]*|\*\*[\d.]+\*\*.*|[\d.]+ \([\d.]+\)", text))


def _strong(text: str) -> Markup:
    """Text for HTML, `**bold**` marked as such."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))


def _breakable(text: str) -> Markup:
    """A column's name for HTML, which may go on in a new line after each underscore."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def _stop(text: str) -> str:
    """A sentence with its full stop, where it has no end of its own."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _verdict(contents: Mapping[str, Mapping[str, Any]], experiment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The claims: counts by verdict, and by paper each with its verdict; None where they have not been tested."""
    file = table_of(experiment["name"], CATALOGUE["claims"])
    if file not in contents["claims"]["files"]:
        return None
    table = pd.read_csv(load_csv(file))
    papers = []
    for paper in PAPERS.values():
        mine = table[table["paper"] == paper]
        lines = [
            {
                "id": line.id,
                "verdict": line.verdict,
                "claim": line.claim,
                "section": line.section,
                "cells": f"{line.cells_holding} of {line.cells}" if line.verdict != NOT_TESTABLE else "",
                "value": in_words(line),
                "p": "" if pd.isna(line.p) else number(line.p),
                "missing": line.missing if isinstance(line.missing, str) else "",
            }
            for line in mine.itertuples(index=False)
        ]
        counts = [int((mine["verdict"] == verdict).sum()) for verdict in VERDICTS]
        if lines:
            papers.append({"name": paper, "counts": counts, "claims": lines})
    return {
        "papers": papers,
        "claims": len(table),
        "testable": int((table["verdict"] != NOT_TESTABLE).sum()),
        "counts": [int((table["verdict"] == verdict).sum()) for verdict in VERDICTS],
    }


def run_times(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the experiment's jobs took, by kind: out of the records that Snakemake keeps of those that it ran (results/benchmarks/).

    Of each kind: "jobs" with a record and "without" one (not run, or made elsewhere), "hours" on the clock in sum, "cpu_hours" of
    processor time, None where it is not known, "longest" job in seconds, "memory" largest resident set in MB.
    """
    found: dict[str, list[dict[str, float]]] = {}
    without: dict[str, int] = {}
    for kind, file in timed(told):
        found.setdefault(kind, [])
        without.setdefault(kind, 0)
        if Path(file).is_file():
            found[kind] += read_benchmark(file)
        else:
            without[kind] += 1
    return [
        {
            "kind": KINDS.get(kind, kind.replace("_", " ")),
            "jobs": len(jobs),
            "without": without[kind],
            "hours": sum(job["s"] for job in jobs) / 3600,
            "cpu_hours": _sum(job["cpu_time"] for job in jobs),
            "longest": max(job["s"] for job in jobs),
            "memory": max(job["max_rss"] for job in jobs),
        }
        for kind, jobs in found.items()
        if jobs
    ]


def _sum(seconds: Iterable[float]) -> float | None:
    """Seconds in sum, as hours; None where none is known."""
    known = [value for value in seconds if not math.isnan(value)]
    return sum(known) / 3600 if known else None


def read_benchmark(file: str | Path) -> list[dict[str, float]]:
    """A record of Snakemake's (a line for each repetition): seconds "s" and "cpu_time", megabytes "max_rss"; NaN where it has a dash."""
    with Path(file).open(encoding="utf-8", newline="") as lines:
        return [
            {key: _number(line.get(key)) for key in ("s", "cpu_time", "max_rss")}
            for line in csv.DictReader(lines, delimiter="\t")
        ]


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _installed() -> dict[str, str]:
    """{package: its version} where the report is written, as records have it."""
    return {name: version for name, version in figure_records.versions().items() if version}


def _machine() -> dict[str, str]:
    """The machine that the report is written on, in words."""
    found = figure_records.hardware()
    cards = ", ".join(found["gpus"]) or "none found"
    return {
        "processor": found["cpu"],
        "cores": str(found["cores"]),
        "memory": f"{found['memory_gb']:.0f} GB",
        "graphics cards": cards,
    }


def _revision() -> str:
    """The revision of the code, and whether files differ from it, in words."""
    found = figure_records.revision()
    if found is None:
        return "not known: the folder is no git checkout"
    return f"{found['commit']}{'' if found['clean'] else ', with changed or further files'}"
