"""Every source that is downloaded: through the real rule, from a server on the loopback interface."""

import hashlib

import pytest
import yaml

from advtransfer.config.values import parse_epsilon
from loopback import CONTENT

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def entries(fresh):
    """{file: entry} of all sources of kind download."""
    sources = yaml.safe_load((fresh.folder / "config.yaml").read_text())["sources"].values()
    return {entry["file"]: entry for entry in sources if entry["kind"] == "download"}


def test_the_papers_sources_and_the_ladder(entries):
    assert len(entries) == 4 + 15
    for file, entry in entries.items():
        assert file in entry["url"]
        assert entry["url"].startswith("https://")
        assert 0 < entry["published_accuracy_percent"] < 100
        if entry["family"] == "salman":
            norm, epsilon = file.removeprefix("resnet50_").removesuffix(".ckpt").split("_eps")
            scale = 255 if norm == "linf" else 1
            found = entry["threat"] or {"norm": "l2", "epsilon": 0}
            assert (found["norm"], parse_epsilon(found["epsilon"]) * scale) == (norm, pytest.approx(float(epsilon)))


def test_all_downloads_are_planned_offline(fresh, entries):
    files = [f"results/downloads/{file}" for file in entries]
    assert fresh.planned(*files) == {"download": sorted(files)}


def test_downloads_from_a_slow_server_then_from_a_corrupt_one(fresh, entries, server):
    """The published hashes are those of the real files: here they are the stand-in's."""
    known = {"natural": f"sha256:{SHA256[:8]}", "l2_3": "sha1:" + hashlib.sha1(CONTENT).hexdigest()}
    (fresh.folder / "standin.yaml").write_text(
        yaml.safe_dump({"sources": {name: {"hash": h} for name, h in known.items()}})
    )
    files = [f"results/downloads/{file}" for file in entries]
    run = ["--configfile", "standin.yaml", "--cores", "8", "--config"]
    fresh.snakemake(*files, *run, f"mirror={server.url}/slow")
    assert all((fresh.folder / file).read_bytes() == CONTENT for file in files)
    lines = (fresh.folder / "resources/checksums.txt").read_text().splitlines()
    assert sorted(lines) == sorted(f"{SHA256}  {file}" for file in entries)
    assert sum(server.asked.values()) == len(files)
    assert fresh.planned(*files, *run, f"mirror={server.url}/slow") == {}

    # Another mirror changes nothing that is here.
    assert fresh.planned(*files, *run, f"mirror={server.url}/corrupt") == {}
    # What is gone has to come back as it was. Port 9 of the loopback interface stands for the unreachable originals.
    for file in files:
        (fresh.folder / file).unlink()
    config = yaml.safe_load((fresh.folder / "config.yaml").read_text())
    gone = {name: {"url": "http://127.0.0.1:9/x"} for name, entry in config["sources"].items() if "url" in entry}
    (fresh.folder / "offline.yaml").write_text(yaml.safe_dump({"sources": gone}))
    run = ["--configfile", "standin.yaml", "offline.yaml", "--cores", "19", "--keep-going", "--config"]
    result = fresh.snakemake(*files, *run, f"mirror={server.url}/corrupt", check=False)
    assert result.returncode != 0
    for file, entry in entries.items():
        known = f"not {SHA256} recorded in resources/checksums.txt" if entry["hash"] is None else "not "
        # On the terminal the lines of jobs that run at once may stand behind one another.
        last = (fresh.folder / f"results/logs/downloads/{file}.log").read_text().splitlines()[-1]
        assert last.startswith(f"{file}: could not be fetched")
        assert known in last
        assert last in result.stdout
    assert "Traceback" not in result.stdout
    assert not any((fresh.folder / file).exists() for file in files)
