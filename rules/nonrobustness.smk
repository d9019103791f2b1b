# Whether fine-tuning hands on non-robustness (Zhang et al. 2021; docs/nonrobustness.md).


# Fine-tuned networks of one cell, of several seeds in one file.
rule nonrobustness_networks:
    input:
        source="results/sources/{source}.safetensors",
        target="results/targets/{target}.safetensors",
        subset="results/subsets/{target}/n{images}.parquet",
    output:
        nonrobustness.NETWORKS,
    log:
        "results/logs/nonrobustness_networks/{way}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.log",
    benchmark:
        "results/benchmarks/nonrobustness_networks/{way}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.tsv"
    wildcard_constraints:
        way=any_of(config["protocols"]),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        job=lambda wildcards: as_json(
            nonrobustness.trained_by(EXPERIMENT, dict(wildcards.items())).told(
                resolve.resolve_protocol(config, wildcards.way, int(wildcards.images))
            )
        ),
        code=lambda wildcards: code_of(
            *mitigation.transfer_code(
                resolve.resolve_protocol(config, wildcards.way, int(wildcards.images)),
                "nonrobustness_networks.py",
            )
        ),
    shell:
        "python scripts/nonrobustness_networks.py --job {params.job:q} --threads {threads}"
        " --source-file {input.source:q} --target-file {input.target:q} --subset-file {input.subset:q}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


# Networks of one way to a target under attack: a row for each seed and radius.
rule nonrobustness_rows:
    input:
        models=lambda wildcards: nonrobustness.attacked_models(
            EXPERIMENT, dict(wildcards.items())
        ),
        target="results/targets/{target}.safetensors",
    output:
        nonrobustness.ROWS,
    log:
        "results/logs/nonrobustness/{part}/{way}/{source}/{target}/{trained}_n{images}/seeds{first}-{last}.log",
    benchmark:
        "results/benchmarks/nonrobustness/{part}/{way}/{source}/{target}/{trained}_n{images}/seeds{first}-{last}.tsv"
    wildcard_constraints:
        part=any_of(nonrobustness.PARTS),
        way=any_of([*config["protocols"], *config["reference_networks"]]),
        trained=r"all|blocks\d+",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            nonrobustness.row_settings(
                EXPERIMENT,
                nonrobustness.attacked_by(EXPERIMENT, dict(wildcards.items())),
            )
        ),
        code=code_of("nonrobustness_rows.py"),
    shell:
        "python scripts/nonrobustness_rows.py --settings {params.settings:q} --threads {threads}"
        " --models {input.models:q} --target-file {input.target:q} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


# Layers of a target's networks compared, and universal perturbations: rows for each seed.
rule nonrobustness_features:
    input:
        models=lambda wildcards: nonrobustness.compared_models(
            nonrobustness.compared_by(EXPERIMENT, dict(wildcards.items()))
        ),
        target="results/targets/{target}.safetensors",
        subset="results/subsets/{target}/n{images}.parquet",
    output:
        nonrobustness.FEATURES_ROWS,
    log:
        "results/logs/nonrobustness_features/{way}/{source}/{target}/n{images}/seeds{first}-{last}.log",
    wildcard_constraints:
        way=any_of(config["protocols"]),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            nonrobustness.feature_settings(
                EXPERIMENT,
                nonrobustness.compared_by(EXPERIMENT, dict(wildcards.items())),
            )
        ),
        code=code_of("nonrobustness_features.py"),
    shell:
        "python scripts/nonrobustness_features.py --settings {params.settings:q} --threads {threads}"
        " --models {input.models:q} --target-file {input.target:q} --subset-file {input.subset:q}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"
