"""Make the table of figure 6, 7, 8 or influence_all, or the summary of figure 8, out of influence matrices."""

import argparse

from advtransfer.artefacts import load_arrays, save_arrays, save_table
from advtransfer.errors import exit_on_input_error
from advtransfer.influence_tables import fig6, fig7, fig8, fig8_summary, influence_all, read_influence


def main() -> None:
    """Parse, read, tabulate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, choices=["fig6", "fig7", "fig8", "fig8_summary", "influence_all"])
    parser.add_argument("--natural", required=True, help="influence artefact of the natural source")
    parser.add_argument("--robust", required=True, help="influence artefact of the robust source")
    parser.add_argument("--natural-all", help="the same through all weights, for influence_all")
    parser.add_argument("--robust-all", help="the same through all weights, for influence_all")
    parser.add_argument("--target-file", help="target artefact, for figure 6")
    parser.add_argument("--self-influence", required=True, choices=["excluded", "included"])
    parser.add_argument("--output", required=True, help=".csv, or .safetensors for figures 6 and 7")
    arguments = parser.parse_args()
    matrices = {role: read_influence(getattr(arguments, role)) for role in ("robust", "natural")}
    if arguments.table == "fig6":
        images = load_arrays(arguments.target_file, ["train_images", "test_images"])[0]
        save_arrays(arguments.output, *fig6(matrices, images))
    elif arguments.table == "fig7":
        save_arrays(arguments.output, *fig7(matrices, arguments.self_influence))
    elif arguments.table == "influence_all":
        everything = {role: read_influence(getattr(arguments, f"{role}_all")) for role in matrices}
        save_table(arguments.output, influence_all(matrices, everything, arguments.self_influence))
    else:
        tabulate = {"fig8": fig8, "fig8_summary": fig8_summary}[arguments.table]
        save_table(arguments.output, tabulate(matrices, arguments.self_influence))


if __name__ == "__main__":
    with exit_on_input_error():
        main()
