# What lies behind each figure, for its record; and whether what lies on disk fits all records:
#
#     snakemake verify --config experiment=NAME
#
# docs/provenance.md says what is recorded where.

from advtransfer.config.lineage import Lineage
from advtransfer.packing import pack

LINEAGE = Lineage(config, EXPERIMENT, INSPECTION, COUNTS)


# Reads everything, makes nothing, and so has no input.
rule verify:
    log:
        "results/logs/verify.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        chosen=lambda wildcards: pack([config, EXPERIMENT, INSPECTION, COUNTS]),
    shell:
        "python scripts/verify.py --chosen {params.chosen:q}" f"{LOGGED}"
