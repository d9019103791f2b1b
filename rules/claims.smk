# The verdict: every claim of the papers, tested (resources/claims.yaml; docs/verdict.md).


# Of the chosen experiment alone: the claims as tested on the paper's own logs stay as they are while another one is chosen.
rule claims:
    input:
        files=lambda wildcards: inputs.claimed_files(config, EXPERIMENT, INSPECTION),
        claims=CLAIMS,
        printed=inputs.PRINTED,
    output:
        table=f"results/tables/{EXPERIMENT['name']}/claims.csv",
        hash=f"results/tables/{EXPERIMENT['name']}/claims.csv.sha256",
    log:
        f"results/logs/tables/{EXPERIMENT['name']}/claims.log",
    conda:
        "../envs/figures.yaml"
    params:
        settings=lambda wildcards: as_json(
            recipes.claims_settings(config, EXPERIMENT, INSPECTION)
        ),
        recipe=lambda wildcards: as_json(recipes.row_recipe(config, EXPERIMENT)),
        code=code_of("claims.py"),
    # The script finds its thousands of input files by itself: they would not fit into a command line.
    shell:
        "python scripts/claims.py --claims {input.claims:q} --printed {input.printed:q} --settings {params.settings:q}"
        " --recipe {params.recipe:q} --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"


rule claims_text:
    input:
        table=f"results/tables/{EXPERIMENT['name']}/claims.csv",
        hash=f"results/tables/{EXPERIMENT['name']}/claims.csv.sha256",
    output:
        csv="figures/claims.csv",
        markdown="figures/claims.md",
        record="figures/claims_text.json",
    log:
        "results/logs/figures/claims_text.log",
    conda:
        "../envs/figures.yaml"
    params:
        experiment=lambda wildcards: shown("claims_compared"),
        code=code_of("claims_text.py"),
        behind=lambda wildcards, input: LINEAGE.packed(input.table),
    shell:
        "python scripts/claims_text.py --table {input.table:q} --experiment {params.experiment:q} --csv {output.csv:q}"
        " --markdown {output.markdown:q} --code {params.code:q} --behind {params.behind:q} --record {output.record:q}"
        f"{LOGGED}"


rule claims_compared:
    input:
        published=lambda wildcards: inputs.audited(config, EXPERIMENT),
        experiment=f"results/tables/{EXPERIMENT['name']}/claims.csv",
    output:
        table=f"results/tables/{EXPERIMENT['name']}/claims_compared.csv",
        hash=f"results/tables/{EXPERIMENT['name']}/claims_compared.csv.sha256",
    log:
        f"results/logs/tables/{EXPERIMENT['name']}/claims_compared.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code_of("claims_compared.py"),
    shell:
        "python scripts/claims_compared.py --published {input.published:q} --experiment {input.experiment:q}"
        " --code {params.code:q} --output {output.table:q}"
        f"{LOGGED}"
