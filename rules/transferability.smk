# Companion study: adversarial transferability and knowledge transferability (Liang et al. 2021; docs/transferability.md).


# A source compared with the reference networks of a target: a row for each seed.
rule transferability_rows:
    input:
        unpack(
            lambda wildcards: transferability.compared_files(
                EXPERIMENT, dict(wildcards.items())
            )
        ),
    output:
        transferability.ROWS,
    log:
        "results/logs/transferability/{comparison}/{protocol}/{source}/{target}/n{images}/seeds{first}-{last}.log",
    benchmark:
        "results/benchmarks/transferability/{comparison}/{protocol}/{source}/{target}/n{images}/seeds{first}-{last}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            transferability.row_settings(
                EXPERIMENT,
                transferability.compared_by(EXPERIMENT, dict(wildcards.items())),
            )
        ),
        code=code_of("transferability_rows.py"),
    shell:
        "python scripts/transferability_rows.py --settings {params.settings:q} --threads {threads}"
        " --source-file {input.source:q} --target-file {input.target:q} --probes {input.probes:q}"
        " --probe-rows {input.probe_rows:q} --references {input.references:q} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule transferability_synthetic:
    input:
        lambda wildcards: current([]),
    output:
        "results/transferability/synthetic/seed{seed}.parquet",
    log:
        "results/logs/transferability/synthetic/seed{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    params:
        settings=lambda wildcards: as_json(
            resolve.resolve_synthetic(config, int(wildcards.seed))
        ),
        code=code_of("transferability_synthetic.py"),
    shell:
        "python scripts/transferability_synthetic.py --settings {params.settings:q} --threads {threads}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"


rule transferability_synthetic_table:
    input:
        lambda wildcards: inputs.synthetic_files(config),
    output:
        table="results/tables/{experiment}/transferability_synthetic.csv",
        hash="results/tables/{experiment}/transferability_synthetic.csv.sha256",
    log:
        "results/logs/tables/{experiment}/transferability_synthetic.log",
    conda:
        "../envs/figures.yaml"
    params:
        bands=config["bands"],
        code=code_of("transferability_synthetic_table.py"),
    shell:
        "python scripts/transferability_synthetic_table.py --rows {input:q} --bands {params.bands:q}"
        " --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"
