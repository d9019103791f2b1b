"""Make the table of a figure of influence matrices, through the head or beside it through all weights."""

import argparse
import inspect
from pkgutil import resolve_name

from advtransfer.artefacts import PROVENANCE, content_hash, load_arrays, made_of, save_arrays, save_table
from advtransfer.command_line import command_line
from advtransfer.tables.influence import read_influence
from advtransfer.tables.intervals import BANDS

ROLES = ("robust", "natural")


def main() -> None:
    """Parse, read what the table's function asks for by the names of its parameters, tabulate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabulate", required=True, help="function of advtransfer.tables that makes the table")
    parser.add_argument(
        "--natural", nargs="+", required=True, help="influence artefacts of the natural source, by seed"
    )
    parser.add_argument("--robust", nargs="+", required=True, help="influence artefacts of the robust source, by seed")
    parser.add_argument("--natural-all", help="the same through all weights")
    parser.add_argument("--robust-all", help="the same through all weights")
    parser.add_argument("--target", required=True, help="target artefact")
    parser.add_argument("--self-influence", required=True, choices=["excluded", "included"])
    parser.add_argument("--bands", choices=BANDS, help="of intervals over seeds, where the table has some")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="table to write: .csv, or .safetensors of pictures")
    arguments = parser.parse_args()
    readers = {
        "head": lambda: {role: read_influence(getattr(arguments, role)[0]) for role in ROLES},
        "heads": lambda: {role: [read_influence(file) for file in getattr(arguments, role)] for role in ROLES},
        "all_weights": lambda: {role: read_influence(getattr(arguments, f"{role}_all")) for role in ROLES},
        "images": lambda: load_arrays(arguments.target, ["train_images", "test_images"])[0],
        "self_influence": lambda: arguments.self_influence,
        "bands": lambda: arguments.bands,
    }
    tabulate = resolve_name(f"advtransfer.tables.{arguments.tabulate}")
    table = tabulate(**{name: readers[name]() for name in inspect.signature(tabulate).parameters})
    inputs = {f"{role} {place}": file for role in ROLES for place, file in enumerate(getattr(arguments, role))}
    inputs |= {name: getattr(arguments, name) for name in ("natural_all", "robust_all", "target")}
    provenance = made_of(
        {name: getattr(arguments, name) for name in ("tabulate", "self_influence", "bands")},
        arguments.code,
        {name: content_hash(file) for name, file in inputs.items() if file is not None},
    )
    if isinstance(table, tuple):
        arrays, facts = table
        save_arrays(arguments.output, arrays, {**facts, PROVENANCE: provenance})
    else:
        save_table(arguments.output, table, provenance)


if __name__ == "__main__":
    with command_line():
        main()
