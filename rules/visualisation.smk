# Feature visualisation (figure 1): images that drive a penultimate unit up.


rule visualise:
    input:
        unpack(
            lambda wildcards: inputs.inspected_files(
                EXPERIMENT, INSPECTION, "visualisation", "results/models"
            )
        ),
    output:
        "results/tables/{experiment}/fig1.safetensors",
    log:
        "results/logs/tables/{experiment}/fig1.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: as_json(
            inspected("visualisation", "units", "steps", "step_size")
        ),
        code=code_of("visualise.py"),
    shell:
        "python scripts/visualise.py --natural {input.natural:q} --robust {input.robust:q}"
        " --settings {params.settings:q} --threads {threads} --code {params.code:q} --output {output:q}"
        f"{LOGGED}"
