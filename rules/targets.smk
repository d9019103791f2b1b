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
        "python scripts/target.py --settings {params.settings:q} --name {wildcards.target}"
        ' --downloads results/downloads --mirror "$ADVTRANSFER_MIRROR"'
        " --files {params.files} --code {params.code} --output {output}"
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
        seeds=as_json(config["seeds"]),
        code=code_of("subset.py"),
    shell:
        "python scripts/subset.py --target {input} --images {wildcards.images} --seeds {params.seeds:q}"
        " --code {params.code} --output {output}"
        f"{LOGGED}"
