# Which layers each fine-tuning setting trains (figure 9), read off the network.


rule schematic:
    input:
        lambda wildcards: current([]),
    output:
        table="results/tables/{experiment}/fig9.csv",
        hash="results/tables/{experiment}/fig9.csv.sha256",
    log:
        "results/logs/tables/{experiment}/fig9.log",
    conda:
        "../envs/torch.yaml"
    params:
        # The natural source's entry: the figure shows a network, and needs none of its weights.
        source=lambda wildcards: as_json(
            resolve.resolve_source(config["sources"][EXPERIMENT["sources"]["natural"]])
        ),
        classes=COUNTS[EXPERIMENT["targets"][0]]["classes"],
        blocks=lambda wildcards: as_json(EXPERIMENT["blocks"]),
        code=code_of("schematic.py"),
    shell:
        "python scripts/schematic.py --source {params.source:q} --classes {params.classes:q}"
        " --blocks {params.blocks:q} --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"
