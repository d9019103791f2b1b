# Target data sets, and the random subsets of them that every source is fine-tuned on.


rule target:
    input:
        lambda wildcards: current([]),
    output:
        "results/targets/{target}.safetensors",
    log:
        "results/logs/targets/{target}.log",
    conda:
        "../envs/torch.yaml"
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_target(config["targets"][wildcards.target])
        ),
        files=lambda wildcards: inputs.target_files(config, wildcards.target),
        code=lambda wildcards: code_of(
            "target.py",
            f"advtransfer/targets/{config['targets'][wildcards.target]['kind']}.py",
        ),
    shell:
        "python scripts/target.py --settings {params.settings:q} --name {wildcards.target:q}"
        ' --downloads results/downloads --mirror="$ADVTRANSFER_MIRROR"'
        " --files {params.files:q} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule subset:
    input:
        "results/targets/{target}.safetensors",
    output:
        "results/subsets/{target}/n{images}.parquet",
    log:
        "results/logs/subsets/{target}/n{images}.log",
    conda:
        "../envs/torch.yaml"
    params:
        seeds=lambda wildcards: as_json(config["seeds"]),
        code=code_of("subset.py"),
    shell:
        "python scripts/subset.py --target {input:q} --images {wildcards.images:q} --seeds {params.seeds:q}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"
