# How robust the sources are.


rule robustness:
    input:
        source="results/sources/{source}.safetensors",
        # Their test images, where they are given.
        dataset=lambda wildcards: (
            f"results/targets/{target}.safetensors"
            if (target := resolve.test_data_of(config, wildcards.source))
            else []
        ),
    output:
        "results/robustness/{source}.parquet",
    log:
        "results/logs/robustness/{source}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_robustness(config, wildcards.source)
        ),
        dataset=lambda wildcards, input: options(dataset=input.dataset),
        code=code_of("robustness.py"),
    shell:
        "python scripts/robustness.py --name {wildcards.source:q} --settings {params.settings:q} --threads {threads}"
        " --source {input.source:q} {params.dataset}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule source_robustness:
    input:
        lambda wildcards: inputs.source_robustness_files(config, EXPERIMENT),
    output:
        table="results/tables/{experiment}/source_robustness.csv",
        hash="results/tables/{experiment}/source_robustness.csv.sha256",
    log:
        "results/logs/tables/{experiment}/source_robustness.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code_of("source_robustness.py"),
    shell:
        "python scripts/source_robustness.py --files {input:q}"
        " --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"
