# What the chosen experiment will cost, and how far it has come:
#
#     snakemake estimate --config experiment=paper
#     snakemake progress --config experiment=paper     beside the Snakemake that runs it


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
        settings=lambda wildcards: as_json(
            resolve.resolve_costs(config, EXPERIMENT, COUNTS)
        ),
        cores=workflow.cores or 1,
        seconds=config["estimate_seconds"],
    shell:
        "python scripts/estimate.py --settings {params.settings:q} --cores {params.cores:q} --threads {threads}"
        " --seconds {params.seconds:q}"
        f"{LOGGED}"


rule progress:
    log:
        "results/logs/progress.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        experiment=lambda wildcards: as_json(EXPERIMENT),
    shell:
        "python scripts/progress.py --experiment {params.experiment:q}" f"{LOGGED}"
