"""Whether what lies on disk is what its records say: artefacts in results/, figures and tables in figures/. Nothing is made or changed.

Each artefact is read whole and compared with the hash that it carries, and what it says of its making with the configuration, the code
and its inputs as they are now (`stale`). Each record of figures/ (`figure_records`) is compared with its files and with all that lay behind
them. A file that does not fit is named once; what was made of it is not, as that is made again with it. No torch here.
"""

import functools
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from advtransfer import figure_records
from advtransfer.artefacts import differing, load_arrays, load_csv, load_table
from advtransfer.config import inputs, stale
from advtransfer.config.catalogue import CATALOGUE, COPIES
from advtransfer.config.recipes import Recipe, all_recipes
from advtransfer.downloads import file_hash
from advtransfer.errors import InputError

# What is read whole in results/, and the folders in which others' files lie as they came.
READERS = {".parquet": load_table, ".safetensors": functools.partial(load_arrays, names=None), ".csv": load_csv}
NOT_OURS = ("downloads", "logs", "benchmarks")
# Files that are named for one and the same finding; the others are counted.
MOST_NAMED = 10
AGAIN = "Make it again: snakemake -f {file}"
MADE_WITH = {
    "settings": "made with other settings than the configuration now states",
    "code": "made by other code than that in scripts/ now",
    "provenance": "does not say what made it",
}


class Finding(NamedTuple):
    """A file, what was found, and the remedy."""

    file: str
    finding: str
    remedy: str


class Verdict(NamedTuple):
    """What `verify` found, and how much it looked at.

    followers: files that do not fit only because something does not that they were made of; they are not among the findings. artefacts: in
    results/. strangers: those of them that were compared with their own hash alone, as nothing in this experiment makes them. records:
    in figures/.
    """

    findings: list[Finding]
    followers: int
    artefacts: int
    strangers: int
    records: int


def verify(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
) -> Verdict:
    """Compare everything that exists; the arguments are those of `stale.find`."""
    files = artefacts()
    kept, findings = _read_records()
    findings = {finding.file: finding for finding in (*_pinned(config), *_damaged(files), *findings)}
    # Figures that were drawn of another experiment lie in the same places.
    elsewhere = {
        file for record in kept.values() if record["experiment"] != experiment["name"] for file in record["files"]
    }
    recipes = dict(all_recipes(config, experiment, inspection, counts))
    odd = _made_otherwise(config, {file: recipe for file, recipe in recipes.items() if file not in elsewhere}, findings)
    named = [finding for finding in odd if not _follows(finding.file, recipes, {*findings, *(one.file for one in odd)})]
    findings |= {finding.file: finding for finding in named}
    for finding in _shown(kept, set(findings)):
        findings.setdefault(finding.file, finding)
    strangers = sum(file not in recipes for file in files)
    return Verdict(list(findings.values()), len(odd) - len(named), len(files), strangers, len(kept))


def lines(verdict: Verdict) -> Iterator[str]:
    """A line for each finding, at most `MOST_NAMED` of those with the same words, and a line for the others of these."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in verdict.findings:
        groups[finding.finding, finding.remedy].append(finding)
    for (words, remedy), group in groups.items():
        for finding in group[:MOST_NAMED]:
            yield f"{finding.file}: {words}. {remedy.format(file=finding.file)}"
        if len(group) > MOST_NAMED:
            yield f"... and {len(group) - MOST_NAMED:,} more: {words}."


def summary(verdict: Verdict, experiment: str) -> str:
    """One line: how much was compared, and how much of it does not fit."""
    alone = f" ({verdict.strangers:,} of them with their own hash alone)" if verdict.strangers else ""
    compared = f"{verdict.artefacts:,} artefacts{alone} and {verdict.records:,} records of figures and tables"
    if not verdict.findings:
        return f"Experiment {experiment}: {compared} were compared, and all fit."
    more = f", and {verdict.followers:,} more were made of them" if verdict.followers else ""
    return f"Experiment {experiment}: {len(verdict.findings):,} files do not fit (see above){more}; {compared} were compared."


def artefacts() -> list[str]:
    """Every artefact in results/, of whatever experiment."""
    return sorted(
        path.as_posix()
        for folder in Path("results").glob("*")
        if folder.is_dir() and folder.name not in NOT_OURS
        for path in folder.rglob("*")
        if path.suffix in READERS and path.is_file() and not path.name.startswith(".")
    )


def _read_records() -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    """{path: record} of those that can be read, and what the others have."""
    kept, findings = {}, []
    for path in sorted({record for entry in CATALOGUE.values() for record in entry.records}):
        if Path(path).is_file():
            try:
                kept[path] = figure_records.read(path)
            except InputError as error:
                findings.append(_as_finding(path, error))
    return kept, findings


def _damaged(files: Iterable[str]) -> Iterator[Finding]:
    for file in files:
        try:
            READERS[Path(file).suffix](file)
        except InputError as error:
            yield _as_finding(file, error)


def _as_finding(file: str, error: InputError) -> Finding:
    """An error's one line, "file: finding. Remedy"; braces in it mean themselves."""
    finding, _, remedy = " ".join(str(error).split()).removeprefix(f"{file}: ").rpartition(". ")
    return Finding(file, finding, remedy.replace("{", "{{").replace("}", "}}"))


def _pinned(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Checkpoints and logs that have not the hash which the configuration states for them."""
    known = {entry["path"]: entry.get("hash") for entry in config["sources"].values() if entry["kind"] == "file"}
    known |= {f"results/downloads/{file}": entry["hash"] for file, entry in inputs.downloads(config).items()}
    for file, stated in known.items():
        if stated and Path(file).is_file():
            kind, _, digits = stated.partition(":")
            found = file_hash(Path(file), kind)
            if found is None or not found.startswith(digits):
                words = f"replaced, it has {kind} {found}, the configuration states {stated}"
                yield Finding(file, words, "Restore it, or, if you mean the new one, correct 'hash'.")


def _made_otherwise(config: Mapping[str, Any], recipes: Mapping[str, Recipe], passed: Container[str]) -> list[Finding]:
    """Artefacts and figures that were not made as the configuration, the code and their inputs now say, but for some."""
    says = functools.cache(stale.says_of)
    # Planning takes a download on trust, once it was compared with what is published.
    downloaded = {
        f"results/sources/{name}.safetensors": {"checkpoint": inputs.checkpoint(config, name)}
        for name, entry in config["sources"].items()
        if entry["kind"] == "download"
    }
    found = []
    for file, recipe in recipes.items():
        if file in passed or not Path(file).is_file():
            continue
        recipe = recipe._replace(files={**recipe.files, **downloaded.get(file, {})})
        try:
            stated = says(file)[1]
        except InputError as error:
            found.append(_as_finding(file, error))
            continue
        expected = stale.expected(recipe, says)
        what = differing(stated, expected)
        if what == "inputs":
            names = [name for name, known in expected["inputs"].items() if stated["inputs"].get(name) != known]
            found.append(Finding(file, _made_of_others(recipe, names), AGAIN))
        elif what:
            found.append(Finding(file, MADE_WITH[what], AGAIN))
    return found


def _made_of_others(recipe: Recipe, names: Iterable[str]) -> str:
    paths = {name: f"another {path}" for name, path in (*recipe.files.items(), *recipe.artefacts.items())}
    paths = {"rows": "other rows", "files": "other image files", **paths}
    return f"made of {' and '.join(paths.get(name, name) for name in names)} than now on disk"


def _follows(file: str, recipes: Mapping[str, Recipe], bad: Container[str]) -> bool:
    """Whether an input of an artefact, however far back, is itself one that does not fit."""
    seen, waiting = {file}, list(recipes[file].inputs)
    while waiting:
        one = waiting.pop()
        if one in bad:
            return True
        if one not in seen:
            seen.add(one)
            waiting += recipes[one].inputs if one in recipes else []
    return False


def _shown(kept: Mapping[str, Mapping[str, Any]], bad: Container[str]) -> Iterator[Finding]:
    """Figures and tables in figures/ that are not as their records say, that have none, or behind which something else lay."""
    known = functools.cache(_hash_now)
    for path, record in kept.items():
        for file, stated in record["files"].items():
            if not Path(file).is_file():
                yield Finding(file, f"missing, {path} is its record", AGAIN)
            elif figure_records.sha256(file) != stated:
                yield Finding(file, f"changed, it has not the hash in {path}", AGAIN)
        if any(file in bad for file in (*record["files"], *record["behind"])):
            continue
        others = [file for file, stated in record["behind"].items() if known(file) not in (stated, None)]
        if others:
            more = f" and {len(others) - 1:,} other files" if len(others) > 1 else ""
            yield Finding(path, f"its files were made of another {others[0]}{more} than now on disk", AGAIN)
    with_record = {file for record in kept.values() for file in record["files"]}
    for entry in CATALOGUE.values():
        # Of a record that cannot be read it is not known which files are its.
        unread = any(record in bad for record in entry.records)
        for file in entry.files:
            if not Path(file).is_file() or file in with_record or unread:
                continue
            table = COPIES.get(Path(file).stem)
            if Path(file).suffix != ".csv" or table is None:
                yield Finding(file, "has no record beside it", AGAIN)
            elif not _is_copy(file, table):
                yield Finding(file, f"no copy of a table results/tables/*/{table}.csv", AGAIN)


def _hash_now(file: str) -> str | None:
    """As `figure_records.hash_behind`; None of a file that is gone, or that is named for itself."""
    try:
        return figure_records.hash_behind(file) if Path(file).is_file() else None
    except InputError:
        return None


def _is_copy(file: str, table: str) -> bool:
    """Whether a file has the content that the table had when it was made, of any experiment."""
    found = figure_records.sha256(file)
    return any(found == _hash_now(path.as_posix()) for path in Path("results/tables").glob(f"*/{table}.csv"))
