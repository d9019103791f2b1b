# Tables 1 to 4: what the configuration and the artefacts say of an experiment.


rule describe:
    input:
        lambda wildcards: inputs.described_files(config, EXPERIMENT, wildcards.figure),
    output:
        csv="figures/{figure}.csv",
        markdown="figures/{figure}.md",
        record="figures/{figure}.json",
    log:
        "results/logs/figures/{figure}.log",
    wildcard_constraints:
        figure=any_of(entries("protocol", "sources", "targets")),
    conda:
        "../envs/torch.yaml"
    params:
        tabulate=lambda wildcards: CATALOGUE[wildcards.figure].tabulate,
        settings=lambda wildcards: as_json(
            resolve.describe(config, EXPERIMENT, wildcards.figure)
        ),
        experiment=EXPERIMENT["name"],
        code=lambda wildcards: code_of_table("describe.py", wildcards.figure),
        behind=lambda wildcards, input: LINEAGE.packed(*input),
    shell:
        "python scripts/describe.py --tabulate {params.tabulate:q} --settings {params.settings:q}"
        " --files {input:q} --csv {output.csv:q} --markdown {output.markdown:q} --figure {wildcards.figure:q}"
        " --experiment {params.experiment:q} --code {params.code:q} --behind {params.behind:q} --record {output.record:q}"
        f"{LOGGED}"
