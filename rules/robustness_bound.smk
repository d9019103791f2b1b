# How far a representation bounds the robustness of a linear predictor on it (Nern et al. 2022; docs/robustness_bound.md).


# Networks of one source, target and block count under attack: a row for each image, seed and epsilon.
rule robustness_bound_rows:
    input:
        models=lambda wildcards: robustness_bound.attacked_models(
            EXPERIMENT, dict(wildcards.items())
        ),
        target="results/targets/{target}.safetensors",
    output:
        robustness_bound.ROWS,
    log:
        "results/logs/robustness_bound/{protocol}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.log",
    benchmark:
        "results/benchmarks/robustness_bound/{protocol}/{source}/{target}/blocks{blocks}_n{images}/seeds{first}-{last}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            robustness_bound.row_settings(
                EXPERIMENT,
                robustness_bound.attacked_by(EXPERIMENT, dict(wildcards.items())),
            )
        ),
        code=code_of("robustness_bound_rows.py"),
    shell:
        "python scripts/robustness_bound_rows.py --settings {params.settings:q} --threads {threads}"
        " --models {input.models:q} --target-file {input.target:q} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"
