# Companion study: adversarial transferability and knowledge transferability (Liang et al. 2021).


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
