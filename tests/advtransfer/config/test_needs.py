"""What jobs ask a cluster for: counted against the estimate's own plan, and never less than what was measured."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advtransfer import estimate
from advtransfer.checkpoints import architecture_of
from advtransfer.config import needs, resolve
from advtransfer.config.grid import transfer_jobs
from advtransfer.config.inspection import resolve_inspection
from advtransfer.config.needs import CACHE_BYTES, FORWARD_PER_SECOND, GENEROSITY, LEAST_MINUTES, Needs
from experiments import PROJECT, counts_of, read_config, resolved


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path, monkeypatch):
    """No estimate was made here, or by a test before."""
    monkeypatch.setattr(needs, "MEASURED", tmp_path / "estimate.json")
    needs._measured.cache_clear()
    yield
    needs._measured.cache_clear()


def of(name):
    """The needs of an experiment of config.yaml, and the experiment."""
    config = read_config()
    experiment = resolved(config, name)
    counts = counts_of(config)
    return Needs(config, experiment, resolve_inspection(config, experiment, counts), counts), experiment


def planned(name):
    """The needs of an experiment, the estimate's plan of its transfer jobs, by size, and the protocols by size."""
    asked, experiment = of(name)
    costs = resolve.resolve_costs(asked.config, experiment, asked.counts)
    return asked, estimate.plan(experiment, costs["protocols"], costs["targets"]), costs["protocols"]


def wildcards_of(part, protocol):
    """Of a job that trains some seeds of one size."""
    values = {"protocol": protocol, "source": part.source, "target": part.target, "blocks": part.blocks}
    values |= {"images": part.images, "first": 0, "last": part.seeds - 1}
    return {key: str(value) for key, value in values.items()}


@pytest.mark.parametrize("name", ["demo", "paper", "ladder", "resolution"])
def test_a_transfer_job_is_counted_as_the_estimate_counts_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)  # the bundled sources
    asked, parts, _ = planned(name)
    sources = asked.config["sources"]
    resolutions = {name: architecture_of(sources[name])["resolution"] for name in {part.source for part in parts}}
    assert len(parts) > 50
    for part in parts[:: 1 + len(parts) // 200]:
        wildcards = wildcards_of(part, asked.experiment["protocol"])
        passes = 3 * part.training_passes + part.evaluation_passes
        assert asked.passes("transfer", wildcards) == passes
        seconds = passes * (resolutions[part.source] / 224) ** 2 / FORWARD_PER_SECOND
        assert asked.minutes("transfer", wildcards) == pytest.approx(LEAST_MINUTES + GENEROSITY * seconds / 60, abs=1)
    # All jobs together, each by its own name.
    files = [re.fullmatch(NAME, file).groupdict() for file in transfer_jobs(asked.experiment)]
    everything = sum(3 * part.training_passes + part.evaluation_passes for part in parts)
    assert sum(asked.passes("transfer", file) for file in files) == everything


NAME = (
    r"results/transfer/(?P<protocol>\w+)/(?P<source>\w+)/(?P<target>\w+)/"
    r"blocks(?P<blocks>\d+)_n(?P<sizes>[\d+]+)/seeds(?P<first>\d+)-(?P<last>\d+)\.parquet"
)


def test_a_job_of_several_sizes_is_their_sum():
    cell = {"protocol": "paper", "source": "natural", "target": "mnist", "blocks": "3", "first": "0", "last": "4"}
    alone = [PAPER.passes("transfer", cell | {"images": images}) for images in ("100", "400", "25600")]
    assert PAPER.passes("transfer", cell | {"sizes": "100+400+25600"}) == sum(alone)
    together, largest = cell | {"sizes": "100+400"}, cell | {"images": "400"}
    assert PAPER.memory_mb("transfer", together) == PAPER.memory_mb("transfer", largest)


@pytest.mark.parametrize("name", ["demo", "ladder"])
def test_memory_holds_the_activation_cache_that_the_engine_will_have(name, monkeypatch):
    """The estimate builds the network and asks for its shapes; the bound here must not be less, up to what lies in a file."""
    monkeypatch.chdir(PROJECT)
    asked, parts, protocols = planned(name)
    seen = set()
    for part in parts:
        if part.source not in (asked.experiment["sources"][role] for role in ("natural", "robust")) or part.blocks == 0:
            continue  # the others are built alike; without blocks, the features of all seeds together are small
        if (key := (part.source, part.target, part.blocks, part.images)) in seen:
            continue
        seen.add(key)
        architecture = architecture_of(resolve.resolve_source(asked.config["sources"][part.source]))
        cached = estimate.activation_cache_bytes(architecture, part, protocols[str(part.images)])
        room = asked.memory_mb("transfer", wildcards_of(part, asked.experiment["protocol"])) - needs.BASE_MB
        assert room * 10**6 >= min(cached, CACHE_BYTES)
    assert len(seen) > 10


def test_every_rule_with_a_gpu_has_its_work_counted():
    rules = set()
    for file in (PROJECT / "rules").glob("*.smk"):
        for body in re.split(r"^(?=rule )", file.read_text(), flags=re.M)[1:]:
            if re.search(r"^ +gpu=1,", body, re.M):
                rules.add(re.match(r"rule (\w+)", body)[1])
    # The estimate runs where it is asked for; influence through the head passes no image.
    assert rules - {"estimate", "influence", "influence_cut_rows"} == {
        name[1:] for name in vars(Needs) if name[1:] in rules and name[0] == "_"
    }
    assert len(rules) > 12


def test_what_figures_6_to_8_need_at_the_papers_scale():
    """docs/performance.md: 9.7 minutes and 11.3 GiB for every eigenvalue; 8,000 MB and an hour were too little."""
    asked, _ = of("paper")
    part = asked.inspection["influence"]
    cell = {"source": "natural", "target": part["target"], "blocks": "3", "images": str(part["images"])}
    cell |= {"protocol": "paper", "seed": "20000000"}
    assert (part["target"], part["images"]) == ("cifar10", 3200)
    assert asked.memory_mb("influence", cell) > 11.3 * 2**30 / 1e6
    assert asked.minutes("influence", cell) >= 9.7 * GENEROSITY
    assert asked.minutes("influence_cut_rows", cell) >= 2 * 9.7 * GENEROSITY
    # Table 2: 3,200 images are trained for 150 epochs and evaluated 16 times.
    assert asked.passes("fine_tuned_model", cell) == 3 * 3200 * 150 + 16 * 10_000
    assert asked.passes("features", cell) == 3200 + 10_000
    for rule in ("features", "influence", "fine_tuned_model", "influence_all", "visualise"):
        for attempt in (2, 3):
            assert asked.minutes(rule, cell, attempt) == attempt * asked.minutes(rule, cell)
            assert asked.memory_mb(rule, cell, attempt) == attempt * asked.memory_mb(rule, cell)


@given(
    images=st.integers(10, 25_600),
    seeds=st.integers(1, 20),
    target=st.sampled_from(["cifar10", "svhn", "mnist"]),
    protocol=st.sampled_from(["paper", "fast", "demo", "paper_mitigated"]),
    source=st.sampled_from(["natural", "mini_l2"]),
)
def test_more_to_do_never_asks_for_less(images, seeds, target, protocol, source):
    asked = PAPER
    cell = {"protocol": protocol, "source": source, "target": target, "blocks": "3", "first": "0"}
    less = cell | {"images": str(images), "last": str(seeds - 1)}
    more = cell | {"images": str(images + 1000), "last": str(seeds)}
    assert asked.minutes("transfer", less) <= asked.minutes("transfer", more)
    assert asked.memory_mb("transfer", less) <= asked.memory_mb("transfer", more)
    assert asked.minutes("transfer", less) >= LEAST_MINUTES


PAPER = of("paper")[0]


def test_what_the_estimate_measured_is_used_and_a_damaged_file_is_not(capsys):
    def hours():
        needs._measured.cache_clear()
        cell = {
            "protocol": "paper",
            "source": "natural",
            "target": "svhn",
            "images": "73257",
            "first": "0",
            "last": "0",
        }
        return (PAPER.minutes("transfer", cell | {"blocks": "3"}) - LEAST_MINUTES) / 60

    assumed = hours()
    passes = 3 * 73_257 * 150 + 16 * 26_032
    assert assumed == pytest.approx(GENEROSITY * passes / FORWARD_PER_SECOND / 3600, abs=1 / 60)
    needs.MEASURED.write_text(json.dumps({"forward_seconds": 4 / FORWARD_PER_SECOND}))
    assert hours() == pytest.approx(4 * assumed, abs=5 / 60)
    for text in (
        "",
        "{",
        "[]",
        "{}",
        '{"forward_seconds": -1}',
        '{"forward_seconds": NaN}',
        '{"forward_seconds": "1"}',
    ):
        needs.MEASURED.write_text(text)
        assert hours() == assumed
        assert "estimate.json: no measured rate can be read there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 4, b"\xff" * 20, b"\x02" + b"\x00" * 7 + b"[]", b"\x05" + b"\x00" * 7 + b"{"]
)
def test_a_damaged_source_is_left_to_its_own_job(tmp_path, content):
    (tmp_path / "source.safetensors").write_bytes(content)
    assert needs._metadata(tmp_path / "source.safetensors") == {}


def test_a_source_is_known_by_its_own_metadata(monkeypatch):
    monkeypatch.chdir(PROJECT)
    config = read_config()
    for name, entry in config["sources"].items():
        if entry["kind"] != "download":
            known = architecture_of(resolve.resolve_source(entry))
            found = PAPER._architecture(name)
            assert found == {key: known[key] for key in found}
