# The check of the configuration, the chosen experiment, wildcard constraints, and what rules share. What a rule reads is
# a lambda beside it, or, where it takes more than a line, a function of scripts/advtransfer/config.

import json
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import RerunTrigger

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from advtransfer.config import (
    inputs,
    inspection,
    mitigation,
    nonrobustness,
    outputs,
    recipes,
    resolve,
    robustness_bound,
    stale,
    transferability,
)
from advtransfer.config.catalogue import CATALOGUE, COPIES, DRAWN, entries
from advtransfer.config.claims import CLAIMS
from advtransfer.config.start import choose, require_writable
from advtransfer.errors import InputError
from advtransfer.provenance import code_of

# The end of every command: messages go to the job's log, and the last of a failed job to the terminal as well.
# (Snakemake's --show-failed-logs says nothing where profiles/default keeps it quiet about rules.)
# A job that could not even write its log, on a full disk, says nothing; one that was killed does not know.
LOGGED = (
    " 2> {log:q} || {{ code=$?; tail -n 1 {log:q} | grep -a . >&2"
    " || printf '%s: the job stopped without a word. Is the disk full? Try: df -h .\\n' {log:q} >&2;"
    " [ $code -le 128 ] || printf '%s: killed by signal %s; 9 is often too little memory, 7 a full disk.\\n'"
    " {log:q} $((code - 128)) >&2; exit 1; }}"
)


def refused(function, *arguments):
    """What a function returns; an InputError becomes the one line that Snakemake ends with."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


CHOSEN = refused(
    choose,
    config,
    Path(workflow.basedir) / "rules" / "config.schema.yaml",
    workflow.configfiles,
    Path(".snakemake") / "unreadable",
)
EXPERIMENT, INSPECTION, COUNTS = CHOSEN.experiment, CHOSEN.inspection, CHOSEN.counts


# No parameter of a rule: where a file comes from changes nothing, so another mirror runs nothing again.
os.environ.update(ADVTRANSFER_MIRROR=config["mirror"] or "")
# Jobs are short processes: importing torch without its compiled modules, which images of containers often forbid to write,
# costs each of them 3 seconds more.
os.environ.update(PYTHONDONTWRITEBYTECODE="")


def as_json(value):
    """Structured settings as one parameter: Snakemake compares several as a set, which hides two swapped values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def options(**values):
    """Command-line options with quoted values, of those that have one: --name='value' for each."""
    return " ".join(
        f"--{name.replace('_', '-')}={shlex.quote(str(value))}"
        for name, value in values.items()
        if value
    )


def any_of(names):
    """A pattern for any of some names, for none where there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def sources_of(*kinds):
    """The names of the sources of some kinds."""
    return [name for name, entry in config["sources"].items() if entry["kind"] in kinds]


def targets_of(*kinds):
    """The names of the targets of some kinds."""
    return [name for name, entry in config["targets"].items() if entry["kind"] in kinds]


def inspected(part, *keys):
    """What an experiment looks into: some settings of part "influence" or "visualisation", or all."""
    looked = inputs.inspected(EXPERIMENT, INSPECTION, part)
    return {key: looked[key] for key in keys} if keys else looked


def shown(figure):
    """The experiment as the jobs of one figure or table get it: without what only others show."""
    return as_json(recipes.shown(EXPERIMENT, INSPECTION, figure))


def code_of_table(script, table):
    """`code_of` a script and the module that makes a table, which it imports by name."""
    return code_of(*recipes.table_code(script, table))


# Artefacts that were made otherwise than now. In the process that plans: jobs on a cluster read the Snakefile too.
STALE = (
    stale.find(config, EXPERIMENT, INSPECTION, COUNTS)
    if workflow.is_main_process
    else {}
)
if STALE:
    print(stale.describe(STALE), file=sys.stderr)


def current(files):
    """The input of a rule that others begin with; Snakemake then runs again what makes a stale artefact that is needed.

    Its own records do that as well, but may be gone, or know nothing of copied files. Not where it is told to look at dates only.
    """
    if RerunTrigger.PARAMS in workflow.dag_settings.rerun_triggers:
        workflow.dag.forcefiles.update(STALE)
    return files


wildcard_constraints:
    source=any_of(config["sources"]),
    target=any_of(config["targets"]),
    protocol=any_of(config["protocols"]),
    experiment=any_of(config["experiments"]),
    figure=any_of(CATALOGUE),
    comparison=any_of(transferability.COMPARISONS.values()),
    recipe=any_of(config["reference_networks"]),
    blocks=r"\d+",
    images=r"\d+",
    first=r"\d+",
    last=r"\d+",
    seed=r"\d+",
