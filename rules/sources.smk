# Source networks: trained here, or read from a checkpoint that is on disk or downloaded first.


rule train_source:
    input:
        lambda wildcards: current(
            f"results/targets/{config['sources'][wildcards.source]['dataset']}.safetensors"
        ),
    output:
        source="results/sources/{source}.safetensors",
        record="results/sources/{source}.json",
    log:
        "results/logs/sources/{source}.log",
    benchmark:
        "results/benchmarks/sources/{source}.tsv"
    wildcard_constraints:
        source=any_of(sources_of("train")),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_source(config["sources"][wildcards.source])
        ),
        code=code_of("train_source.py"),
    shell:
        "python scripts/train_source.py --settings {params.settings:q} --code {params.code:q} --threads {threads}"
        " --dataset {input:q} --source {output.source:q} --record {output.record:q}"
        f"{LOGGED}"


rule import_source:
    input:
        lambda wildcards: current(inputs.checkpoint(config, wildcards.source)),
    output:
        "results/sources/{source}.safetensors",
    log:
        "results/logs/sources/{source}.log",
    wildcard_constraints:
        source=any_of(sources_of("file", "download")),
    conda:
        "../envs/torch.yaml"
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_source(config["sources"][wildcards.source])
        ),
        # A file that was replaced by an older one is another file.
        checkpoint=lambda wildcards: recipes.checkpoint_hash(config, wildcards.source),
        code=code_of("import_source.py"),
    shell:
        "python scripts/import_source.py --settings {params.settings:q} --name {wildcards.source:q}"
        " --checkpoint={input:q} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule download:
    output:
        "results/downloads/{file}",
    log:
        "results/logs/downloads/{file}.log",
    wildcard_constraints:
        file=any_of(inputs.downloads(config)),
    conda:
        "../envs/torch.yaml"
    params:
        url=lambda wildcards: inputs.downloads(config)[wildcards.file]["url"],
        # Nothing where no hash is published.
        hash=lambda wildcards: options(
            hash=inputs.downloads(config)[wildcards.file]["hash"]
        ),
        code=code_of("download.py"),
    shell:
        "python scripts/download.py --url={params.url:q} {params.hash}"
        ' --mirror="$ADVTRANSFER_MIRROR" --lock resources/checksums.txt --output {output:q}'
        f"{LOGGED}"
