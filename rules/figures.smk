# The figures, drawn from their tables.


rule figure:
    input:
        # A CSV table with its hash.
        lambda wildcards: [
            f"results/tables/{EXPERIMENT['name']}/{wildcards.figure}.{ending}"
            for ending in (CATALOGUE[wildcards.figure].table, "csv.sha256")
            if ending != "csv.sha256" or CATALOGUE[wildcards.figure].table == "csv"
        ],
    output:
        pdf="figures/{figure}.pdf",
        png="figures/{figure}.png",
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
        code=lambda wildcards: code_of("figure.py", f"figures/{wildcards.figure}.py"),
    shell:
        "python scripts/figure.py --figure {wildcards.figure} --table {input[0]} --experiment {params.experiment:q}"
        " --caption {params.caption:q} --style {params.style:q} --code {params.code}"
        " --pdf {output.pdf} --png {output.png}"
        f"{LOGGED}"
