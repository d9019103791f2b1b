# What can be asked for:
#
#     snakemake list --config experiment=paper     every figure and table of an experiment, and what it needs
#
# and an answer to a name that cannot.


rule list:
    log:
        "results/logs/list.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        lines=lambda wildcards: as_json(outputs.listing(config, EXPERIMENT, INSPECTION)),
    shell:
        "python scripts/list.py --lines {params.lines:q}" f"{LOGGED}"


rule outputs_page:
    output:
        "docs/outputs.md",
    log:
        "results/logs/outputs_page.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        code=code_of("outputs_page.py"),
    shell:
        "python scripts/outputs_page.py --output {output:q}" f"{LOGGED}"


rule unknown:
    input:
        lambda wildcards: outputs.refuse_unknown(wildcards.file),
    output:
        "figures/{file}",
    log:
        "results/logs/figures/{file}.log",
    wildcard_constraints:
        file=rf"(?!(?:{any_of(outputs.outputs())})$).+",
    conda:
        "../envs/figures.yaml"
    shell:
        "exit 1"
