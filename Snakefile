# advtransfer: the figures and tables of "Adversarially-Trained Deep Nets Transfer Better" (Utrera et al. 2020).
#
#     snakemake figures/fig2.pdf                                   one figure of the demo experiment
#     snakemake                                                    all of them
#     snakemake list                                               what there is
#     snakemake report                                             all of them in one page to hand around
#     snakemake figures/fig2.pdf --config experiment=published     the same figure from the authors' own logs
#
# config.yaml says what is computed, rules/ how, profiles/ on which machine.

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/provenance.smk"
include: "rules/targets.smk"
include: "rules/sources.smk"
include: "rules/robustness.smk"
include: "rules/transfer.smk"
include: "rules/references.smk"
include: "rules/influence.smk"
include: "rules/visualisation.smk"
include: "rules/robustness_bound.smk"
include: "rules/nonrobustness.smk"
include: "rules/schematic.smk"
include: "rules/transferability.smk"
include: "rules/descriptions.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/claims.smk"
include: "rules/report.smk"
include: "rules/outputs.smk"
include: "rules/estimate.smk"
include: "rules/cluster.smk"


rule all:
    default_target: True
    input:
        outputs.wanted_by_default(config, EXPERIMENT, INSPECTION),
