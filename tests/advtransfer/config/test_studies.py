"""What studies train, counted file by file."""

from pathlib import Path

import pytest

from advtransfer.config.nonrobustness import attacked
from advtransfer.config.studies import work
from experiments import read_config
from experiments import resolved as resolve


@pytest.fixture
def demo(tmp_path, monkeypatch):
    experiment = resolve(read_config(), "demo")
    monkeypatch.chdir(tmp_path)
    return experiment


def test_of_the_demo(demo):
    found = {one.study: one for one in work(demo)}
    seeds, targets = 3, 2
    sources = len(demo["epsilon"]["sources"])
    arms, curve = 4 + 3 + 1, 2 * targets * len(demo["sizes"]["digits"])
    assert found["nonrobustness"][1:] == (seeds * (arms + curve),) * 2 + (arms + curve + 1,) * 2
    probes, deeper = sources * targets, 2 * targets
    assert found["robustness_bound"][1:] == (seeds * (probes + deeper),) * 2 + (probes + deeper,) * 2
    # Each source has probes; reference networks are shared.
    assert found["transferability"].networks == seeds * (sources * targets + targets)
    assert found["transferability"].jobs == sources * targets
    assert "transferability_sources" in found


def test_what_exists_is_not_left(demo):
    before = {one.study: one for one in work(demo)}["nonrobustness"]
    rows, job = next((file, job) for file, job in attacked(demo) if job.part == "fine_tuned")
    for file in (rows, job.files[0]):
        Path(file).parent.mkdir(parents=True)
        Path(file).touch()
    after = {one.study: one for one in work(demo)}["nonrobustness"]
    assert (after.networks, after.jobs) == (before.networks, before.jobs)
    assert (after.networks_left, after.jobs_left) == (before.networks_left - 3, before.jobs_left - 1)


def test_published_rows_train_nothing():
    assert {one.study for one in work(resolve(read_config(), "published"))} <= {"transferability_sources"}
