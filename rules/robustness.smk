# How robust the sources are, and tables 1 to 4: what the configuration and the artefacts say of an experiment.


rule robustness:
    input:
        source="results/sources/{source}.safetensors",
        dataset=test_data,
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
        settings=robustness_settings,
        dataset=lambda wildcards, input: (
            f"--dataset {input.dataset}" if input.dataset else ""
        ),
        code=code_of("robustness.py"),
    shell:
        "python scripts/robustness.py --name {wildcards.source} --settings {params.settings:q} --threads {threads}"
        " --source {input.source} {params.dataset} --output {output}"
        f"{LOGGED}"


rule source_robustness:
    input:
        known_robustness,
    output:
        "results/tables/{experiment}/source_robustness.csv",
    log:
        "results/logs/tables/{experiment}/source_robustness.log",
    conda:
        "../envs/torch.yaml"
    params:
        code=code_of("source_robustness.py"),
    shell:
        "python scripts/source_robustness.py --files {input} --output {output}"
        f"{LOGGED}"


rule describe:
    input:
        described_files,
    output:
        csv="figures/{description}.csv",
        markdown="figures/{description}.md",
    log:
        "results/logs/figures/{description}.log",
    wildcard_constraints:
        description="table[1-4]",
    conda:
        "../envs/torch.yaml"
    params:
        settings=description_settings,
        code=code_of("describe.py"),
    shell:
        "python scripts/describe.py --table {wildcards.description} --settings {params.settings:q}"
        " --files {input} --csv {output.csv} --markdown {output.markdown}"
        f"{LOGGED}"
