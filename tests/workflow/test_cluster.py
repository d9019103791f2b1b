"""What reaches Snakemake of what jobs ask a cluster for, without a cluster."""

import os
import re
import shutil

import yaml

from experiments import PROJECT


def test_every_gpu_job_says_its_memory_and_time_and_a_users_own_go_before(fresh):
    wanted = ["figures/fig1.pdf", "figures/fig8.pdf", "figures/influence_all.pdf"]
    # The mem_mb of a user stands for one rule, and the runtime for another.
    own = ["--set-resources", "features:mem_mb=1234", "influence:runtime=7"]
    text = fresh.snakemake("-n", *wanted, *own, "--quiet", "host").stdout
    found = {}
    for rule, body in re.findall(r"^rule (\w+):\n((?:    .*\n)+)", text, re.M):
        found[rule] = dict(re.findall(r"(\w+)=(\d+)", re.search(r"resources: (.*)", body)[1]))
    gpu = {rule for rule, resources in found.items() if "gpu" in resources}
    assert gpu == {"fine_tuned_model", "features", "influence", "influence_all", "visualise"}
    for rule in gpu:
        assert int(found[rule]["mem_mb"]) >= 6000 or rule == "features"
        assert int(found[rule]["runtime"]) >= 30 or rule == "influence"
    assert found["features"]["mem_mb"] == "1234"
    assert found["influence"]["runtime"] == "7"
    assert "runtime" not in found["influence_table"]


def test_conda_is_asked_for_and_missing(fresh, monkeypatch):
    """One line before any job; without the option nobody looks for it."""
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not shutil.which("conda", path=folder)]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    result = fresh.snakemake("-n", "figures/fig9.pdf", "--sdm", "conda", check=False)
    assert result.returncode != 0
    assert "no command 'conda' is found. Install it or load its module, or leave the option out" in result.stdout
    assert "Traceback" not in result.stdout


def test_the_profile_leaves_to_the_rules_and_to_the_user_what_is_theirs():
    profile = yaml.safe_load((PROJECT / "profiles" / "slurm" / "config.yaml").read_text())
    assert profile["executor"] == "slurm"
    assert profile["retries"] >= 1
    assert profile["slurm-status-command"] == "squeue"
    assert not {"software-deployment-method", "set-resources"} & set(profile)
    assert "slurm_extra" not in str(profile)
    page = (PROJECT / "docs" / "cluster.md").read_text()
    assert "uv run --group slurm snakemake --profile profiles/slurm" in page
    assert not re.search(r"^ +uv run --with", page, re.M)
