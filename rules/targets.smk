# Target data sets, and the random subsets of them that every source is fine-tuned on.


rule target:
    input:
        lambda wildcards: current([]),
    output:
        "results/targets/{target}.safetensors",
    log:
        "results/logs/targets/{target}.log",
    wildcard_constraints:
        target=any_of(targets_of("digits", "glyphs", "image_folder", "torchvision")),
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


rule mixture:
    input:
        lambda wildcards: current(list(inputs.mixed(config, wildcards.target).values())),
    output:
        "results/targets/{target}.safetensors",
    log:
        "results/logs/targets/{target}.log",
    wildcard_constraints:
        target=any_of(targets_of("mixture")),
    conda:
        "../envs/torch.yaml"
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_target(config["targets"][wildcards.target])
        ),
        names=lambda wildcards: list(inputs.mixed(config, wildcards.target)),
        code=code_of("mixture.py"),
    shell:
        "python scripts/mixture.py --settings {params.settings:q} --name {wildcards.target:q} --names {params.names:q}"
        " --parts {input:q} --code {params.code:q} --output {output:q}"
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
