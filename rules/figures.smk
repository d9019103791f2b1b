# Tables of exactly what a figure draws, and the figures drawn from them.


rule published_rows:
    input:
        f"results/downloads/{Path(config['published']['url']).name}",
    output:
        PUBLISHED_ROWS,
    log:
        "results/logs/published/rows.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code_of("published.py"),
    shell:
        "python scripts/published.py --log {input} --output {output}" f"{LOGGED}"


rule table:
    input:
        rows=experiment_rows,
        published=published_means,
    output:
        "results/tables/{experiment}/{figure}.csv",
    log:
        "results/logs/tables/{experiment}/{figure}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        "../envs/figures.yaml"
    params:
        experiment=experiment_json,
        code=code_of("table.py"),
    # The script finds its thousands of input files by itself: they would not fit into a command line.
    shell:
        "python scripts/table.py --figure {wildcards.figure} --experiment {params.experiment:q}"
        " --output {output}"
        f"{LOGGED}"


rule figure:
    input:
        figure_table,
    output:
        pdf="figures/{figure}.pdf",
        png="figures/{figure}.png",
    log:
        "results/logs/figures/{figure}.log",
    wildcard_constraints:
        figure="|".join(DRAWN),
    conda:
        "../envs/figures.yaml"
    params:
        experiment=experiment_json,
        style=figure_style,
        code=lambda wildcards: code_of(f"figures/{wildcards.figure}.py"),
    shell:
        "python scripts/figures/{wildcards.figure}.py --table {input} --experiment {params.experiment:q}"
        " --style {params.style:q} --pdf {output.pdf} --png {output.png}"
        f"{LOGGED}"


rule table5:
    input:
        f"results/tables/{EXPERIMENT['name']}/table5.csv",
    output:
        csv="figures/table5.csv",
        markdown="figures/table5.md",
    log:
        "results/logs/figures/table5.log",
    conda:
        "../envs/figures.yaml"
    params:
        experiment=as_json(settings.experiment_for(EXPERIMENT, "table5")),
        code=code_of("figures/table5.py"),
    shell:
        "cp {input} {output.csv} && python scripts/figures/table5.py --table {input}"
        " --experiment {params.experiment:q} --markdown {output.markdown}"
        f"{LOGGED}"
