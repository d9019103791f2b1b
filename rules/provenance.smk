# What lies behind each figure, for its record; whether what lies on disk fits all records, and their export:
#
#     snakemake verify --config experiment=NAME
#     snakemake ro_crate --config experiment=NAME      the same as a Workflow Run RO-Crate
#
# docs/provenance.md says what is recorded where.

from advtransfer.config.lineage import Lineage
from advtransfer.packing import pack

LINEAGE = Lineage(config, EXPERIMENT, INSPECTION, COUNTS)
# What is compared with. Not in the command, which Snakemake prints where something does not fit.
os.environ.update(ADVTRANSFER_CHOSEN=pack([config, EXPERIMENT, INSPECTION, COUNTS]))


# Reads everything, makes nothing, and so has no input.
rule verify:
    log:
        "results/logs/verify.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    shell:
        f"python scripts/verify.py{LOGGED}"


# Describes what lies there, and so has no input.
rule ro_crate:
    log:
        "results/logs/ro_crate.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        experiment=EXPERIMENT["name"],
    shell:
        "python scripts/ro_crate.py --experiment {params.experiment:q}" f"{LOGGED}"
