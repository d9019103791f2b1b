# The figures, drawn from their tables.


rule figure:
    input:
        table=lambda wildcards: f"results/tables/{EXPERIMENT['name']}/{wildcards.figure}.{CATALOGUE[wildcards.figure].table}",
        # Pictures carry theirs.
        hash=lambda wildcards: (
            f"results/tables/{EXPERIMENT['name']}/{wildcards.figure}.csv.sha256"
            if CATALOGUE[wildcards.figure].table == "csv"
            else []
        ),
    output:
        pdf="figures/{figure}.pdf",
        png="figures/{figure}.png",
        record="figures/{figure}.json",
    log:
        "results/logs/figures/{figure}.log",
    wildcard_constraints:
        figure=any_of(DRAWN),
    conda:
        "../envs/figures.yaml"
    params:
        experiment=lambda wildcards: shown(wildcards.figure),
        caption=lambda wildcards: CATALOGUE[wildcards.figure].caption,
        style=lambda wildcards: as_json(
            {
                **config["style"].get("all", {}),
                **config["style"].get(wildcards.figure, {}),
            }
        ),
        width=config["width_inches"],
        code=lambda wildcards: code_of("figure.py", f"figures/{wildcards.figure}.py"),
        behind=lambda wildcards, input: LINEAGE.packed(input.table),
    shell:
        "python scripts/figure.py --figure {wildcards.figure:q} --table {input.table:q} --experiment {params.experiment:q}"
        " --caption {params.caption:q} --style {params.style:q} --width {params.width:q} --code {params.code:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --behind {params.behind:q} --record {output.record:q}"
        f"{LOGGED}"
