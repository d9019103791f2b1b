# Influence functions: which training images matter to a fine-tuned network (figures 6 to 8, influence_all).


rule features:
    input:
        model="results/models/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
        target="results/targets/{target}.safetensors",
        subset="results/subsets/{target}/n{images}.parquet",
    output:
        "results/features/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
    log:
        "results/logs/features/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        test_images=lambda wildcards: inspected("influence")["test_images"],
        code=code_of("features.py"),
    shell:
        "python scripts/features.py --model {input.model:q} --target-file {input.target:q} --subset-file {input.subset:q}"
        " --seed {wildcards.seed:q} --test-images {params.test_images:q} --threads {threads}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule influence:
    input:
        "results/features/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
    output:
        "results/influence/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
    log:
        "results/logs/influence/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.log",
    benchmark:
        "results/benchmarks/influence/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            inspection.influence_settings(inspected("influence"))
        ),
        code=code_of("influence.py"),
    shell:
        "python scripts/influence.py --features {input:q} --settings {params.settings:q} --threads {threads}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


# What each inverse of the Hessian predicts of retraining: a row for each, of one network.
rule influence_cut_rows:
    input:
        "results/features/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
    output:
        "results/influence_cut/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.parquet",
    log:
        "results/logs/influence_cut/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.log",
    benchmark:
        "results/benchmarks/influence_cut/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            inspection.row_settings(
                inspected("influence_cut"), wildcards.source, int(wildcards.seed)
            )
        ),
        code=code_of("influence_cut_rows.py"),
    shell:
        "python scripts/influence_cut_rows.py --features {input:q} --settings {params.settings:q} --threads {threads}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule influence_cut:
    input:
        lambda wildcards: inputs.influence_cut_files(EXPERIMENT, INSPECTION),
    output:
        table="results/tables/{experiment}/{figure}.csv",
        hash="results/tables/{experiment}/{figure}.csv.sha256",
    log:
        "results/logs/tables/{experiment}/{figure}.log",
    wildcard_constraints:
        figure=any_of(entries("influence_cut")),
    conda:
        "../envs/figures.yaml"
    params:
        tabulate=lambda wildcards: CATALOGUE[wildcards.figure].tabulate,
        bands=EXPERIMENT["bands"],
        sources=lambda wildcards: as_json(inspected("influence_cut")["sources"]),
        code=lambda wildcards: code_of_table("influence_cut.py", wildcards.figure),
    shell:
        "python scripts/influence_cut.py --tabulate {params.tabulate:q} --bands {params.bands:q} --sources {params.sources:q}"
        " --files {input:q} --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"


rule influence_all:
    input:
        model="results/models/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
        features="results/features/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
        target="results/targets/{target}.safetensors",
    output:
        "results/influence_all/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
    log:
        "results/logs/influence_all/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.log",
    benchmark:
        "results/benchmarks/influence_all/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.tsv"
    conda:
        "../envs/kronfluence.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        queries=lambda wildcards: inspected("influence")["all_weights_queries"],
        code=code_of("influence_all.py"),
    shell:
        "python scripts/influence_all.py --model {input.model:q} --features {input.features:q} --target-file {input.target:q}"
        " --queries {params.queries:q} --threads {threads} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule influence_table:
    input:
        unpack(
            lambda wildcards: inputs.influence_table_files(
                EXPERIMENT, INSPECTION, wildcards.figure
            )
        ),
    output:
        table="results/tables/{experiment}/{figure}.csv",
        hash="results/tables/{experiment}/{figure}.csv.sha256",
    log:
        "results/logs/tables/{experiment}/{figure}.log",
    wildcard_constraints:
        figure=any_of(
            entries("influence", "influence_seeds", "influence_all", table="csv")
        ),
    conda:
        "../envs/figures.yaml"
    params:
        tabulate=lambda wildcards: CATALOGUE[wildcards.figure].tabulate,
        self_influence=lambda wildcards: inspected("influence")["self_influence"],
        more=lambda wildcards, input: options(
            natural_all=input.get("natural_all"),
            robust_all=input.get("robust_all"),
            bands=(
                EXPERIMENT["bands"]
                if wildcards.figure in entries("influence_seeds")
                else None
            ),
        ),
        code=lambda wildcards: code_of_table("influence_table.py", wildcards.figure),
    shell:
        "python scripts/influence_table.py --tabulate {params.tabulate:q} --natural {input.natural:q}"
        " --robust {input.robust:q} --target {input.target:q} {params.more}"
        " --self-influence {params.self_influence:q} --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"


use rule influence_table as influence_pictures with:
    output:
        table="results/tables/{experiment}/{figure}.safetensors",
    wildcard_constraints:
        figure=any_of(entries("influence", table="safetensors")),
