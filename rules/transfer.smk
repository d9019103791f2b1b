# Fine-tuning: one job for a source, a target, a number of blocks, a chunk of seeds, and one or several numbers of images.


rule transfer:
    input:
        source="results/sources/{source}.safetensors",
        target="results/targets/{target}.safetensors",
        subsets=lambda wildcards: expand(
            "results/subsets/{target}/n{images}.parquet",
            target=wildcards.target,
            images=wildcards.sizes.split("+"),
        ),
    output:
        "results/transfer/{protocol}/{source}/{target}/blocks{blocks}_n{sizes}/seeds{first}-{last}.parquet",
    log:
        "results/logs/transfer/{protocol}/{source}/{target}/blocks{blocks}_n{sizes}/seeds{first}-{last}.log",
    benchmark:
        "results/benchmarks/transfer/{protocol}/{source}/{target}/blocks{blocks}_n{sizes}/seeds{first}-{last}.tsv"
    wildcard_constraints:
        sizes=r"\d+(\+\d+)*",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_sizes(config, wildcards.protocol, wildcards.sizes)
        ),
        seeds=lambda wildcards: as_json(
            config["seeds"][int(wildcards.first) : int(wildcards.last) + 1]
        ),
        code=lambda wildcards: code_of(
            *mitigation.transfer_code(config["protocols"][wildcards.protocol])
        ),
    shell:
        "python scripts/transfer.py --protocol {wildcards.protocol:q} --settings {params.settings:q}"
        " --source {wildcards.source:q} --target {wildcards.target:q} --blocks {wildcards.blocks:q}"
        " --seeds {params.seeds:q} --threads {threads} --source-file {input.source:q}"
        " --target-file {input.target:q} --subset-files {input.subsets:q}"
        " --code {params.code:q} --grow --output {output:q}"
        f"{LOGGED}"


# A single network that is kept, for the figures that look into one; its rows lie beside it.
rule fine_tuned_model:
    input:
        source="results/sources/{source}.safetensors",
        target="results/targets/{target}.safetensors",
        subset="results/subsets/{target}/n{images}.parquet",
    output:
        model="results/models/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.safetensors",
        rows="results/models/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.parquet",
    log:
        "results/logs/models/{protocol}/{source}/{target}/blocks{blocks}_n{images}_seed{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_sizes(config, wildcards.protocol, wildcards.images)
        ),
        code=lambda wildcards: code_of(
            *mitigation.transfer_code(config["protocols"][wildcards.protocol])
        ),
    shell:
        "python scripts/transfer.py --protocol {wildcards.protocol:q} --settings {params.settings:q}"
        " --source {wildcards.source:q} --target {wildcards.target:q} --blocks {wildcards.blocks:q}"
        " --seeds '[{wildcards.seed:q}]' --threads {threads} --source-file {input.source:q}"
        " --target-file {input.target:q} --subset-files {input.subset:q} --model {output.model:q}"
        " --code {params.code:q} --output {output.rows:q}"
        f"{LOGGED}"
