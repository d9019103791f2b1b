# What a cluster is asked and told: memory and time of the jobs that compute on a GPU, jobs that outlive a run, conda, locks.

import atexit
import logging

from snakemake_interface_executor_plugins.settings import DeploymentMethod

from advtransfer.config import cluster
from advtransfer.config.needs import Needs

NEEDS = Needs(config, EXPERIMENT, INSPECTION, COUNTS)


# Of all rules with gpu=1, in one place, unless a profile or the command line says otherwise (set-resources). Resources make
# no rule run again.
for _rule in workflow.rules:
    _set = workflow.resource_settings.overwrite_resources.get(_rule.name, {})
    if "gpu" in _rule.resources and not {"mem", "mem_mb", "mem_mib"} & set(_set):
        _rule.resources.update(
            {
                "mem_mb": lambda wildcards, attempt, name=_rule.name: NEEDS.memory_mb(
                    name, wildcards, attempt
                )
            }
        )
    if "gpu" in _rule.resources and "runtime" not in _set:
        _rule.resources.update(
            {
                "runtime": lambda wildcards, attempt, name=_rule.name: NEEDS.minutes(
                    name, wildcards, attempt
                )
            }
        )


# Before hours of computing; not in dry runs.
onstart:
    refused(require_writable, "figures", "results")
    if workflow.executor_plugin.name == "slurm":
        refused(cluster.require_no_earlier_jobs, Path.cwd())
        logging.getLogger("snakemake.logging").addHandler(cluster.Reasons())


# Also after Ctrl-C, when the plugin may have cancelled none.
onerror:
    if workflow.executor_plugin.name == "slurm":
        cluster.cancel_jobs(Path.cwd())


if workflow.is_main_process:
    refused(
        cluster.require_conda,
        DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method,
    )
if workflow.is_main_process or workflow.remote_exec:
    atexit.register(cluster.remove_locks)
