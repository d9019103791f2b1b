# Reference networks: trained from scratch on a target, in the architecture of a source. Studies compare sources with them.


rule reference_network:
    input:
        source="results/sources/{source}.safetensors",
        target="results/targets/{target}.safetensors",
        subset="results/subsets/{target}/n{images}.parquet",
    output:
        transferability.REFERENCE,
    log:
        "results/logs/references/{recipe}/{source}/{target}/n{images}_seed{seed}.log",
    benchmark:
        "results/benchmarks/references/{recipe}/{source}/{target}/n{images}_seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            transferability.resolve_recipe(
                config, wildcards.recipe, int(wildcards.seed)
            )
        ),
        code=code_of("reference_network.py"),
    shell:
        "python scripts/reference_network.py --settings {params.settings:q} --images {wildcards.images:q}"
        " --threads {threads} --source {input.source:q} --target-file {input.target:q} --subset-file {input.subset:q}"
        " --code {params.code:q} --output {output:q}"
        f"{LOGGED}"
