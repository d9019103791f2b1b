# The report: every figure and table of the experiment in one HTML file to hand around (docs/report.md).
#
#     snakemake report            of all that the experiment shows, which is computed first
#     snakemake report_so_far     of what there is

# Under another name: `report` is a word of Snakemake's.
from advtransfer.config import report as reported


rule report:
    input:
        lambda wildcards: outputs.wanted_by_default(config, EXPERIMENT, INSPECTION),
        template=reported.TEMPLATE,
    output:
        f"results/reports/{EXPERIMENT['name']}.html",
    log:
        f"results/logs/reports/{EXPERIMENT['name']}.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        settings=lambda wildcards: as_json(
            reported.settings(config, EXPERIMENT, INSPECTION, COUNTS)
        ),
        contents=lambda wildcards: as_json(
            reported.contents(config, EXPERIMENT, INSPECTION)
        ),
        code=code_of("report.py"),
    shell:
        "python scripts/report.py --settings {params.settings:q} --contents {params.contents:q}"
        " --template {input.template:q} --output {output:q}"
        f"{LOGGED}"


# No output that Snakemake knows: what there is differs from one time to the next.
rule report_so_far:
    input:
        lambda wildcards: reported.described(config, EXPERIMENT, INSPECTION),
        template=reported.TEMPLATE,
    log:
        f"results/logs/reports/{EXPERIMENT['name']}_so_far.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        settings=lambda wildcards: as_json(
            reported.settings(config, EXPERIMENT, INSPECTION, COUNTS)
        ),
        contents=lambda wildcards: as_json(
            reported.contents(config, EXPERIMENT, INSPECTION, STALE)
        ),
        page=f"results/reports/{EXPERIMENT['name']}_so_far.html",
    shell:
        "python scripts/report.py --settings {params.settings:q} --contents {params.contents:q}"
        " --template {input.template:q} --output {params.page:q}"
        f"{LOGGED}"
