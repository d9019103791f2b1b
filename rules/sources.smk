# Source networks: trained here, or read from a checkpoint that is on disk or downloaded first.


rule train_source:
    input:
        training_data,
    output:
        source="results/sources/{source}.safetensors",
        record="results/sources/{source}.json",
    log:
        "results/logs/sources/{source}.log",
    benchmark:
        "results/benchmarks/sources/{source}.tsv"
    wildcard_constraints:
        source=named("sources", "train"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=source_settings,
        code=code_of("train_source.py"),
    shell:
        "python scripts/train_source.py --settings {params.settings:q} --code {params.code} --threads {threads}"
        " --dataset {input} --source {output.source} --record {output.record}"
        f"{LOGGED}"


rule import_source:
    input:
        checkpoint,
    output:
        "results/sources/{source}.safetensors",
    log:
        "results/logs/sources/{source}.log",
    wildcard_constraints:
        source=named("sources", "file", "download"),
    conda:
        "../envs/torch.yaml"
    params:
        settings=source_settings,
        code=code_of("import_source.py"),
    shell:
        "python scripts/import_source.py --settings {params.settings:q} --name {wildcards.source}"
        " --checkpoint {input} --output {output}"
        f"{LOGGED}"


rule download:
    output:
        "results/downloads/{file}",
    log:
        "results/logs/downloads/{file}.log",
    wildcard_constraints:
        file=downloadable(),
    conda:
        "../envs/torch.yaml"
    params:
        url=lambda wildcards: download_entry(wildcards)["url"],
        hash=download_hash,
        code=code_of("download.py"),
    shell:
        "python scripts/download.py --url {params.url:q} {params.hash}"
        ' --mirror "$ADVTRANSFER_MIRROR" --lock resources/checksums.txt --output {output}'
        f"{LOGGED}"
