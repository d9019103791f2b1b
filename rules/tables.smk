# Tables over fine-tuned models: of exactly what a figure draws, and table 5.


rule published_rows:
    input:
        lambda wildcards: current(inputs.published_log(config, wildcards.log)),
    output:
        "results/published/{log}.parquet",
    log:
        "results/logs/published/{log}.log",
    wildcard_constraints:
        log=any_of(config["published"]),
    conda:
        "../envs/figures.yaml"
    params:
        models=lambda wildcards: config["published"][wildcards.log]["models"],
        code=code_of("published_rows.py"),
    shell:
        "python scripts/published_rows.py --log {input:q} --models {params.models:q} --code {params.code:q}"
        " --output {output:q}"
        f"{LOGGED}"


rule table:
    input:
        rows=lambda wildcards: inputs.experiment_rows(
            EXPERIMENT, wildcards.experiment, wildcards.figure
        ),
        # The means that the paper prints, where they are shown beside ours.
        printed=lambda wildcards: inputs.printed_files(EXPERIMENT, wildcards.figure),
    output:
        table="results/tables/{experiment}/{figure}.csv",
        hash="results/tables/{experiment}/{figure}.csv.sha256",
    log:
        "results/logs/tables/{experiment}/{figure}.log",
    wildcard_constraints:
        figure=any_of(entries("rows")),
    conda:
        "../envs/figures.yaml"
    params:
        tabulate=lambda wildcards: CATALOGUE[wildcards.figure].tabulate,
        experiment=lambda wildcards: shown(wildcards.figure),
        recipe=lambda wildcards: as_json(recipes.row_recipe(config, EXPERIMENT)),
        code=lambda wildcards: code_of_table("table.py", wildcards.figure),
    # The script finds its thousands of input files by itself: they would not fit into a command line.
    shell:
        "python scripts/table.py --figure {wildcards.figure:q} --tabulate {params.tabulate:q}"
        " --experiment {params.experiment:q} --recipe {params.recipe:q} --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"


# Of a study: its rows, which are one attacked image or one pair of networks each, to what a figure draws.
rule study_table:
    input:
        lambda wildcards: inputs.study_rows(EXPERIMENT, wildcards.figure),
    output:
        table="results/tables/{experiment}/{figure}.csv",
        hash="results/tables/{experiment}/{figure}.csv.sha256",
    log:
        "results/logs/tables/{experiment}/{figure}.log",
    wildcard_constraints:
        figure=any_of(entries(*inputs.STUDIES)),
    conda:
        "../envs/figures.yaml"
    params:
        tabulate=lambda wildcards: CATALOGUE[wildcards.figure].tabulate,
        bands=EXPERIMENT["bands"],
        code=lambda wildcards: code_of_table("study_table.py", wildcards.figure),
    shell:
        "python scripts/study_table.py --tabulate {params.tabulate:q} --bands {params.bands:q} --files {input:q}"
        " --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"


rule table5:
    input:
        table=f"results/tables/{EXPERIMENT['name']}/table5.csv",
        hash=f"results/tables/{EXPERIMENT['name']}/table5.csv.sha256",
    output:
        csv="figures/table5.csv",
        markdown="figures/table5.md",
        latex="figures/table5.tex",
        record="figures/table5.json",
    log:
        "results/logs/figures/table5.log",
    conda:
        "../envs/figures.yaml"
    params:
        experiment=lambda wildcards: shown("table5"),
        epochs=lambda wildcards: as_json(EXPERIMENT["epochs"]),
        code=code_of("table5.py"),
        behind=lambda wildcards, input: LINEAGE.packed(input.table),
    shell:
        "python scripts/table5.py --table {input.table:q} --experiment {params.experiment:q} --epochs {params.epochs:q}"
        " --csv {output.csv:q} --markdown {output.markdown:q} --latex {output.latex:q}"
        " --code {params.code:q} --behind {params.behind:q} --record {output.record:q}"
        f"{LOGGED}"


# Tables that are wanted beside the figures.
rule table_copy:
    input:
        table=lambda wildcards: f"results/tables/{EXPERIMENT['name']}/{COPIES[wildcards.name]}.csv",
        hash=lambda wildcards: f"results/tables/{EXPERIMENT['name']}/{COPIES[wildcards.name]}.csv.sha256",
    output:
        "figures/{name}.csv",
    log:
        "results/logs/figures/{name}_csv.log",
    wildcard_constraints:
        name=any_of(COPIES),
    conda:
        "../envs/figures.yaml"
    params:
        code=code_of("table_copy.py"),
    shell:
        "python scripts/table_copy.py --table {input.table:q} --output {output:q}"
        f"{LOGGED}"
