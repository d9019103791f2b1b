# The check of the configuration, the chosen experiment, wildcard constraints, and what rules share. What a rule reads is
# a lambda beside it, or, where it takes more than a line, a function of scripts/advtransfer/config.

import json
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import RerunTrigger

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from advtransfer.config import inputs, outputs, resolve, stale
from advtransfer.config.catalogue import CATALOGUE, DRAWN, entries
from advtransfer.config.check import check
from advtransfer.config.inspection import resolve_inspection
from advtransfer.errors import InputError
from advtransfer.provenance import code_of

# The end of every command: messages go to the job's log, and the last of a failed job to the terminal as well.
# (Snakemake's --show-failed-logs says nothing where profiles/default keeps it quiet about rules.)
LOGGED = " 2> {log} || {{ tail -n 1 {log} >&2; exit 1; }}"


def checked_experiment():
    """The chosen experiment, what of it is looked into, and its targets' counts, once the whole configuration has been checked."""
    try:
        check(config, Path(workflow.basedir) / "rules" / "config.schema.yaml")
        targets = config["experiments"][config["experiment"]]["targets"]
        counts = {target: inputs.counts_of(config, target) for target in targets}
        experiment = resolve.resolve_experiment(
            config, counts, inputs.published_rows(config)
        )
        return experiment, resolve_inspection(config, experiment, counts), counts
    except InputError as error:
        raise WorkflowError(str(error)) from None


EXPERIMENT, INSPECTION, COUNTS = checked_experiment()

# No parameter of a rule: where a file comes from changes nothing, so another mirror runs nothing again.
os.environ.update(ADVTRANSFER_MIRROR=config["mirror"] or "")


def as_json(value):
    """Structured settings as one parameter: Snakemake compares several as a set, which hides two swapped values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def any_of(names):
    """A pattern for any of some names, for none where there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def sources_of(*kinds):
    """The names of the sources of some kinds."""
    return [name for name, entry in config["sources"].items() if entry["kind"] in kinds]


def inspected(part, *keys):
    """What an experiment looks into: some settings of part "influence" or "visualisation", or all."""
    looked = inputs.inspected(EXPERIMENT, INSPECTION, part)
    return {key: looked[key] for key in keys} if keys else looked


def shown(figure):
    """The experiment as the jobs of one figure or table get it: without what only others show."""
    return as_json(stale.shown(EXPERIMENT, INSPECTION, figure))


def code_of_table(script, table):
    """`code_of` a script and the module that makes a table, which it imports by name."""
    return code_of(*stale.table_code(script, table))


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
    blocks=r"\d+",
    images=r"\d+",
    first=r"\d+",
    last=r"\d+",
    seed=r"\d+",
