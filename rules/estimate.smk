# What the chosen experiment will cost: snakemake estimate --config experiment=paper


rule estimate:
    log:
        "results/logs/estimate.log",
    localrule: True
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=estimate_settings(),
        cores=workflow.cores or 1,
    shell:
        "python scripts/estimate.py --settings {params.settings:q} --cores {params.cores} --threads {threads}"
        f"{LOGGED}"
