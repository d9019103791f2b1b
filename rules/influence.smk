# Looking into single fine-tuned networks: influence functions (figures 6 to 8, influence_all) and feature visualisation (figure 1).


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
        "python scripts/features.py --model {input.model} --target-file {input.target} --subset-file {input.subset}"
        " --seed {wildcards.seed} --test-images {params.test_images} --threads {threads} --output {output}"
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
        settings=influence_settings,
        code=code_of("influence.py"),
    shell:
        "python scripts/influence.py --features {input} --settings {params.settings:q} --threads {threads}"
        " --output {output}"
        f"{LOGGED}"


rule influence_csv:
    input:
        unpack(lambda wildcards: both_sources("influence", "results/influence")),
        target=lambda wildcards: inspected_target("influence"),
    output:
        "results/tables/{experiment}/{table}.csv",
    log:
        "results/logs/tables/{experiment}/{table}.log",
    wildcard_constraints:
        table="fig8|fig8_summary",
    conda:
        "../envs/figures.yaml"
    params:
        self_influence=lambda wildcards: inspected("influence")["self_influence"],
        code=code_of("influence_table.py"),
    shell:
        "python scripts/influence_table.py --table {wildcards.table} --natural {input.natural} --robust {input.robust}"
        " --target-file {input.target} --self-influence {params.self_influence} --output {output}"
        f"{LOGGED}"


use rule influence_csv as influence_pictures with:
    output:
        "results/tables/{experiment}/{table}.safetensors",
    wildcard_constraints:
        table="fig6|fig7",


rule fig8_summary:
    input:
        f"results/tables/{EXPERIMENT['name']}/fig8_summary.csv",
    output:
        "figures/fig8.csv",
    log:
        "results/logs/figures/fig8_summary.log",
    conda:
        "../envs/figures.yaml"
    shell:
        "cp {input} {output}" f"{LOGGED}"


rule schematic:
    output:
        "results/tables/{experiment}/fig9.csv",
    log:
        "results/logs/tables/{experiment}/fig9.log",
    conda:
        "../envs/torch.yaml"
    params:
        source=schematic_source(),
        classes=counts_of(EXPERIMENT["targets"][0])["classes"],
        blocks=as_json(EXPERIMENT["blocks"]),
        code=code_of("schematic.py"),
    shell:
        "python scripts/schematic.py --source {params.source:q} --classes {params.classes}"
        " --blocks {params.blocks:q} --output {output}"
        f"{LOGGED}"


rule visualise:
    input:
        unpack(lambda wildcards: both_sources("visualisation", "results/models")),
    output:
        "results/tables/{experiment}/fig1.safetensors",
    log:
        "results/logs/tables/{experiment}/fig1.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=visualisation_settings,
        code=code_of("visualise.py"),
    shell:
        "python scripts/visualise.py --natural {input.natural} --robust {input.robust}"
        " --settings {params.settings:q} --threads {threads} --output {output}"
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
        targets=lambda wildcards: inspected("influence")["all_weights_targets"],
        code=code_of("influence_all.py"),
    shell:
        "python scripts/influence_all.py --model {input.model} --features {input.features} --target-file {input.target}"
        " --targets {params.targets} --threads {threads} --output {output}"
        f"{LOGGED}"


rule influence_all_table:
    input:
        unpack(lambda wildcards: both_sources("influence", "results/influence")),
        natural_all=lambda wildcards: both_sources(
            "influence", "results/influence_all"
        )["natural"],
        robust_all=lambda wildcards: both_sources(
            "influence", "results/influence_all"
        )["robust"],
    output:
        "results/tables/{experiment}/influence_all.csv",
    log:
        "results/logs/tables/{experiment}/influence_all.log",
    conda:
        "../envs/figures.yaml"
    params:
        self_influence=lambda wildcards: inspected("influence")["self_influence"],
        code=code_of("influence_table.py"),
    shell:
        "python scripts/influence_table.py --table influence_all --natural {input.natural} --robust {input.robust}"
        " --natural-all {input.natural_all} --robust-all {input.robust_all}"
        " --self-influence {params.self_influence} --output {output}"
        f"{LOGGED}"
