# What lies behind each figure, for its record; and whether what lies on disk fits all records:
#
#     snakemake verify --config experiment=NAME
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
