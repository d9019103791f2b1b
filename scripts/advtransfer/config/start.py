"""What every start of Snakemake does: the configuration checked, the chosen experiment worked out. No torch here."""

import json
import shlex
import tempfile
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advtransfer.config import inputs
from advtransfer.config.check import check
from advtransfer.config.files import check_files
from advtransfer.config.inspection import resolve_inspection
from advtransfer.config.resolution import shrunk_targets
from advtransfer.config.resolve import resolve_costs, resolve_experiment
from advtransfer.config.values import one_line
from advtransfer.errors import InputError

# Linux takes 131,072 bytes for an argument, and a job's whole command is one; scripts' names, paths and threads need the rest.
LONGEST_SETTINGS = 110_000


@dataclass(frozen=True)
class Chosen:
    """The chosen experiment (see `grid`), what of it is looked into (see `inspection`), and its targets' counts."""

    experiment: dict[str, Any]
    inspection: dict[str, Any] | None
    counts: dict[str, dict[str, int]]


def choose(
    config: MutableMapping[str, Any],
    schema_file: str | Path,
    files: Iterable[str | Path] = (),
    cache: Path | None = None,
) -> Chosen:
    """Check the whole configuration and the files that it was read from, and resolve the chosen experiment.

    config: gets the targets that the experiment shrinks (`resolution.shrunk_targets`) beside its own. cache: see `inputs.counts_of`.

    Raises InputError for the first finding: one line of at most `values.LONGEST_LINE` characters.
    """
    try:
        check_files(files)
        check(config, schema_file)
        name = config["experiment"]
        shrunk = shrunk_targets(config)
        config["targets"].update(shrunk)
        targets = inputs.planned_targets(config, shrunk)
        counts = {target: inputs.counts_of(config, target, cache) for target in targets}
        experiment = resolve_experiment(config, counts, inputs.published_rows(config))
        inspection = resolve_inspection(config, experiment, counts)
        # More than any one job is told.
        told = [resolve_costs(config, experiment, counts), config["seeds"], config["style"]]
        settings = json.dumps(told, ensure_ascii=False)
        length = len(shlex.quote(settings).encode())
        if length > LONGEST_SETTINGS:
            raise InputError(
                f"config: experiments.{name}: its settings take {length:,} bytes, a job's command has room for {LONGEST_SETTINGS:,}. "
                "Use fewer sources, sizes or epochs to evaluate, or shorter labels."
            )
    except InputError as error:
        raise InputError(one_line(str(error))) from None
    return Chosen(experiment, inspection, counts)


def require_writable(*folders: str) -> None:
    """Raise InputError where a file cannot be written into one of the folders, or into the one that it will be made in."""
    for folder in map(Path, folders):
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise InputError(
                one_line(
                    f"{folder}/: no file can be written there ({error.strerror}). Change its permissions, make room, or remove "
                    "what lies in its place."
                )
            ) from None
