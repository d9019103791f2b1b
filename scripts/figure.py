"""Draw one figure from its table, as PDF and PNG."""

import argparse
import importlib
import json
from pathlib import Path

from advtransfer import figure_records
from advtransfer.artefacts import content_hash, load_arrays, load_csv, made_of
from advtransfer.command_line import command_line
from figures import style


def main() -> None:
    """Parse, read the table, draw by the module that is named like the figure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, help="name of the figure and of its module in scripts/figures")
    parser.add_argument("--table", required=True, help="the figure's table (.csv, or .safetensors for pictures)")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--caption", required=True, help="one line, the title in the files' properties")
    parser.add_argument(
        "--style", type=json.loads, default={}, help="matplotlib rcParams as JSON, over the project's own"
    )
    parser.add_argument("--width", type=float, default=style.WIDTH, help="of the figure, inches")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the files")
    parser.add_argument("--pdf", required=True, help="figure to write")
    parser.add_argument("--png", required=True, help="the same figure to write as PNG")
    figure_records.add_options(parser)
    arguments = parser.parse_args()
    style.set_theme(arguments.style, arguments.width)
    pictures = Path(arguments.table).suffix == ".safetensors"
    table = load_arrays(arguments.table) if pictures else style.read_table(load_csv(arguments.table))
    draw = importlib.import_module(f"figures.{arguments.figure}").draw
    figure = draw(table, arguments.experiment)
    settings = {"experiment": arguments.experiment, "caption": arguments.caption, "style": arguments.style}
    settings["width_inches"] = arguments.width
    provenance = made_of(settings, arguments.code, {"table": content_hash(arguments.table)})
    name, files = arguments.experiment["name"], [arguments.pdf, arguments.png]
    style.save_figure(figure, *files, arguments.caption, provenance, name)
    figure_records.write_asked(arguments, arguments.figure, name, files, provenance)


if __name__ == "__main__":
    with command_line():
        main()
