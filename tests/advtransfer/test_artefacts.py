"""Round trips, files that are whole or not there, and damage that is noticed wherever it is."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from advtransfer.artefacts import (
    PROVENANCE,
    content_hash,
    differing,
    hash_of,
    load_arrays,
    load_csv,
    load_table,
    load_tensors,
    made_of,
    save_arrays,
    save_json,
    save_table,
    save_tensors,
    statement,
    whole_file,
)
from advtransfer.datasets import Dataset, load_dataset, load_labels, load_subsets
from advtransfer.errors import InputError
from advtransfer.models import build, load_source, save_model, source_resolution
from advtransfer.tables.accuracy import read_rows
from advtransfer.tables.influence import read_influence
from advtransfer.tables.robustness import COLUMNS, read_robustness
from experiments import PROJECT, an_experiment, read_config, rows_of

MADE = made_of({"learning_rate": 0.1}, "0123456789abcdef", {"source": hash_of("weights")})
NETWORK = {
    **{"architecture": "resnet", "layers": [1, 1], "width": 0.0625, "stem": "cifar", "classes": 5, "resolution": 8},
    **{"mean": [0.5] * 3, "std": [0.25] * 3, "threat": {"norm": "l2", "epsilon": 0.5}},
}


def test_tensors_and_metadata_round_trip(tmp_path):
    tensors = {"a": torch.arange(6).view(2, 3), "b": torch.randn(4).half(), "view": torch.arange(6).view(2, 3).t()}
    tensors |= {"scalar": torch.tensor(3), "none": torch.zeros(0, 2), "truth": torch.tensor([True, False])}
    metadata = {
        "classes": 3,
        "threat": {"norm": "l2", "epsilon": 0.5},
        "name": "ümlaut",
        "none": None,
        PROVENANCE: MADE,
    }
    save_tensors(tmp_path / "x.safetensors", tensors, metadata)
    again, found = load_tensors(tmp_path / "x.safetensors", own=True)
    assert found == metadata
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    assert list(load_tensors(tmp_path / "x.safetensors", ["b"])[0]) == ["b"]
    arrays = load_arrays(tmp_path / "x.safetensors")[0]
    assert all(np.array_equal(tensors[name].numpy(), arrays[name]) for name in tensors)
    save_arrays(tmp_path / "y.safetensors", {name: tensor.numpy() for name, tensor in tensors.items()}, metadata)
    assert (tmp_path / "y.safetensors").read_bytes() == (tmp_path / "x.safetensors").read_bytes()


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_tables_round_trip(tmp_path, ending):
    table = pd.DataFrame({"seed": [20000000, 20100000], "test_accuracy": [0.1, 1 / 3], "target": ["a", "ü"]})
    file = tmp_path / f"t.{ending}"
    save_table(file, table, MADE)
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    pd.testing.assert_frame_equal(read(file), table)
    own = load_table(file).to_pandas() if ending == "parquet" else pd.read_csv(load_csv(file))
    pd.testing.assert_frame_equal(own, table)
    assert statement(file)[1] == MADE


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum, which older macOS lacks")
def test_the_hash_of_a_csv_table_is_in_the_form_of_sha256sum(tmp_path):
    save_table(tmp_path / "fig2.csv", pd.DataFrame({"mean": [0.5]}), MADE)
    assert (tmp_path / "fig2.csv").read_text() == "mean\n0.5\n"
    subprocess.run(["sha256sum", "--check", "--status", "--strict", "fig2.csv.sha256"], cwd=tmp_path, check=True)


def test_datasets_round_trip_and_fingerprints_see_every_byte(tmp_path):
    images = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8)
    dataset = Dataset(images, torch.arange(6), images[:2].clone(), torch.arange(2), list("abcdef"), {"kind": "test"})
    dataset.save(tmp_path / "d.safetensors")
    again = load_dataset(tmp_path / "d.safetensors")
    assert again.class_names == dataset.class_names
    assert again.origin == {"kind": "test"}
    assert torch.equal(load_labels(tmp_path / "d.safetensors"), torch.arange(6))
    assert again.fingerprint() == dataset.fingerprint()
    again.test_images[1, 0, 3, 3] ^= 1
    assert again.fingerprint() != dataset.fingerprint()


def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    save_json(tmp_path / "record.json", {"old": True})
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "record.json") as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]
    assert "old" in (tmp_path / "record.json").read_text()


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.safetensors: no such file"):
        load_tensors(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match=r"gone\.parquet: no such file"):
        load_table(tmp_path / "gone.parquet")
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(100)}, {})
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-50])
    with pytest.raises(InputError, match=r"cut\.safetensors: not a readable safetensors artefact"):
        load_tensors(tmp_path / "cut.safetensors")
    with pytest.raises(InputError, match="not a readable"):
        load_tensors(tmp_path / "x.safetensors", ["b"])


def test_files_without_a_hash_are_others_and_no_artefacts(tmp_path):
    """A user's checkpoint has none; what stands in the place of an artefact must have one."""
    from safetensors.torch import save_file

    save_file({"a": torch.arange(3)}, tmp_path / "theirs.safetensors", metadata={"note": "plain text"})
    tensors, metadata = load_tensors(tmp_path / "theirs.safetensors")
    assert metadata == {"note": "plain text"}
    assert tensors["a"].tolist() == [0, 1, 2]
    for read in (load_arrays, content_hash, lambda path: load_tensors(path, own=True), load_dataset):
        with pytest.raises(InputError, match=r"theirs\.safetensors: (carries no hash of its content|not a readable)"):
            read(tmp_path / "theirs.safetensors")
    pd.DataFrame({"seed": [1]}).to_parquet(tmp_path / "theirs.parquet")
    (tmp_path / "theirs.csv").write_text("seed\n1\n")
    for read, file in ((load_table, "theirs.parquet"), (content_hash, "theirs.parquet"), (load_csv, "theirs.csv")):
        with pytest.raises(InputError, match=rf"{file}: (carries no hash|the file with its hash, .*, is missing)"):
            read(tmp_path / file)


def test_the_same_content_gives_the_same_bytes_in_every_process(tmp_path):
    """safetensors writes its metadata in an order that changes from process to process."""
    code = """
import sys
import pandas as pd, torch
from advtransfer.artefacts import made_of, save_json, save_table, save_tensors
folder, made = sys.argv[1], made_of({"b": 1, "a": [2.5, None]}, "c", {"y": "1", "x": "2"})
facts = {f"key {number} ü \\x1f \\x7f / \\\\ \\"": {"b": number, "a": None} for number in range(12)}
save_tensors(f"{folder}/x.safetensors", {"b": torch.arange(5), "a": torch.ones(2, 2)}, {**facts, "provenance": made})
save_table(f"{folder}/x.parquet", pd.DataFrame({"seed": [1, 2], "name": ["a", "b"], "value": [0.1, 1e-9]}), made)
save_table(f"{folder}/x.csv", pd.DataFrame({"seed": [1, 2], "value": [0.1, 1e-9]}), made)
save_json(f"{folder}/x.json", facts)
"""
    written = []
    for attempt in ("first", "second", "third"):
        folder = tmp_path / attempt
        environment = {**os.environ, "PYTHONPATH": str(PROJECT / "scripts"), "PYTHONHASHSEED": str(len(written))}
        subprocess.run([sys.executable, "-c", code, folder], check=True, env=environment)
        written.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert len(written[0]) == 5
    assert written[0] == written[1] == written[2]


def test_who_made_it_is_no_content(tmp_path):
    """The same weights, made by other code, are the same weights: what was fine-tuned from them still belongs to them."""
    hashes = []
    for number, (weight, code) in enumerate([(1.0, "a"), (1.0, "b"), (2.0, "a")]):
        made = made_of({}, code, {})
        save_tensors(tmp_path / f"{number}.safetensors", {"w": torch.tensor(weight)}, {"classes": 3, PROVENANCE: made})
        save_table(tmp_path / f"{number}.parquet", pd.DataFrame({"w": [weight]}), made)
        hashes.append([content_hash(tmp_path / f"{number}.{ending}") for ending in ("safetensors", "parquet")])
    assert hashes[0] == hashes[1]
    assert not set(hashes[0]) & set(hashes[2])


def test_what_differs_is_named():
    inputs = {"source": "1", "target": "2"}
    made = made_of({"a": 1, "b": 2}, "code", inputs)
    assert differing(made, made_of({"b": 2, "a": 1}, "code", inputs)) is None
    assert differing(made, made_of({"a": 1, "b": 2}, "code", {"target": "2"})) is None
    assert differing(made, made_of({"a": 2, "b": 1}, "code", inputs)) == "settings"
    assert differing(made, made_of({"a": 1, "b": 2}, "other", inputs)) == "code"
    assert differing(made, made_of({"a": 1, "b": 2}, "code", {"source": "3"})) == "inputs"
    assert differing(None, made) == "provenance"


# Damage


def write_source(path: Path) -> None:
    torch.manual_seed(0)
    save_tensors(path, build(NETWORK).network.state_dict(), {**NETWORK, "origin": {"file": "x.pt"}, PROVENANCE: MADE})


def read_network(path: Path) -> list:
    """As jobs do it that fine-tune a source, or look into a fine-tuned network."""
    weights = load_source(path).network.state_dict()
    return [statement(path), source_resolution(path), load_tensors(path, [], own=True), sorted(weights.items())]


def write_target(path: Path) -> None:
    images = torch.arange(6 * 48, dtype=torch.int64).view(6, 3, 4, 4).to(torch.uint8)
    Dataset(images, torch.arange(6), images[:2].clone(), torch.arange(2), list("abcdef"), {"kind": "x"}).save(
        path, MADE
    )


def read_target(path: Path) -> list:
    return [statement(path), *vars(load_dataset(path)).values(), load_labels(path)]


def write_subset(path: Path) -> None:
    draws = [pd.DataFrame({"seed": seed, "image_id": np.arange(20) * 37 % 61}) for seed in (20000000, 20100000)]
    save_table(path, pd.concat(draws, ignore_index=True), MADE)


def read_subset(path: Path) -> list:
    return [statement(path), *load_subsets(path, [20000000, 20100000]).items()]


def write_robustness(path: Path) -> None:
    lines = [["l2", "", 0.0, 0.8, 1000, "none", "here"], ["l2", "l2", 0.5, 0.31, 500, "PGD-20", "here"]]
    named = dict(
        zip(
            ["source", "norm", "epsilon", "accuracy", "images", "attack", "origin"],
            zip(*lines, strict=True),
            strict=True,
        )
    )
    save_table(path, pd.DataFrame(named)[COLUMNS], MADE)


def write_influence(path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"influence_train": rng.normal(size=(4, 4)), "influence_test": rng.normal(size=(3, 4))}
    arrays |= {"train_labels": np.array([0, 1, 0, 1]), "train_image_ids": np.array([5, 3, 9, 7])}
    arrays |= {"test_labels": np.array([1, 0, 1]), "test_image_ids": np.array([2, 4, 8])}
    save_arrays(path, arrays, {"class_names": ["a", "b"], PROVENANCE: MADE})


def read_figures_table(path: Path) -> list:
    from figures.style import read_table

    return [read_table(load_csv(path))]


def write_pictures(path: Path) -> None:
    pictures = np.random.default_rng(0).random((2, 3, 8, 8)).astype(np.float32)
    save_arrays(path, {"images": pictures}, {"labels": [[0, 1, 2]], "class_names": ["a", "b", "c"], PROVENANCE: MADE})


def write_model(path: Path) -> None:
    source = path.with_name("source.safetensors")
    write_source(source)
    save_model(path, load_source(source), source, {"source": "l2", "seed": 20000000, PROVENANCE: MADE})


KINDS = {
    "source.safetensors": (write_source, read_network),
    "target.safetensors": (write_target, read_target),
    "subset.parquet": (write_subset, read_subset),
    "rows.parquet": (
        lambda path: save_table(path, rows_of(an_experiment(models=1)).head(6), MADE),
        lambda path: [statement(path), read_rows([path])],
    ),
    "robustness.parquet": (write_robustness, lambda path: [statement(path), read_robustness([path])]),
    "influence.safetensors": (
        write_influence,
        lambda path: [statement(path), *(vars(matrix) for matrix in read_influence(path).values())],
    ),
    "table.csv": (
        lambda path: save_table(
            path, pd.DataFrame({"epochs": ["30"], "minus_source": [""], "mean": [0.1 + 0.2]}), MADE
        ),
        read_figures_table,
    ),
    "pictures.safetensors": (write_pictures, lambda path: [statement(path), load_arrays(path)]),
    "model.safetensors": (write_model, read_network),
}


def frozen(value: object) -> object:
    """What was read, in a form that compares every bit of it."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, pd.DataFrame):
        return [(name, str(column.dtype), repr(column.tolist())) for name, column in value.items()]
    if isinstance(value, dict):
        return [(frozen(key), frozen(each)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [frozen(each) for each in value]
    return repr(value)


def outcomes(kind: str, folder: Path, contents: list[tuple[str, bytes]]) -> dict[str, int]:
    """How many of some damaged contents ({file, bytes}) of an artefact's files are refused by name, read alike, or silently read."""
    write, read = KINDS[kind]
    path = folder / kind
    write(path)
    right = frozen(read(path))
    counts = {"refused": 0, "read alike": 0, "silent": 0}
    for file, content in contents:
        intact = (folder / file).read_bytes()
        (folder / file).write_bytes(content)
        try:
            counts["read alike" if frozen(read(path)) == right else "silent"] += 1
        except InputError as error:
            words = str(error)
            counts["refused" if kind in words and "\n" not in words else "silent"] += 1
        (folder / file).write_bytes(intact)
    return counts


def files_of(kind: str, folder: Path) -> list[Path]:
    KINDS[kind][0](folder / kind)
    return [file for file in (folder / kind, folder / f"{kind}.sha256") if file.is_file()]


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flips(kind: str, folder: Path, count: int) -> list[tuple[str, bytes]]:
    """Bits that are flipped at random, in each file of an artefact."""
    draw = random.Random(kind)
    contents = {file.name: file.read_bytes() for file in files_of(kind, folder)}
    return [
        (name, flipped(content, draw.randrange(8 * len(content))))
        for name, content in contents.items()
        for _ in range(count)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_refused_by_the_files_name(tmp_path, kind):
    counts = outcomes(kind, tmp_path, flips(kind, tmp_path, 40))
    assert counts["silent"] == 0
    assert counts["refused"] >= 20  # a parquet file holds statistics and offsets that reading it whole does not use


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_600_flipped_bits_of_each_kind_change_nothing_in_silence(tmp_path, kind, capsys):
    start = time.perf_counter()
    counts = outcomes(kind, tmp_path, flips(kind, tmp_path, 600))
    with capsys.disabled():
        print(f"\n{kind}: {counts}, {time.perf_counter() - start:.0f} s")
    assert counts["silent"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["subset.parquet", "pictures.safetensors", "table.csv"])
def test_every_single_bit_of_a_small_artefact_counts(tmp_path, kind, capsys):
    contents = {file.name: file.read_bytes() for file in files_of(kind, tmp_path)}
    every = [(name, flipped(content, bit)) for name, content in contents.items() for bit in range(8 * len(content))]
    counts = outcomes(kind, tmp_path, every)
    with capsys.disabled():
        print(f"\n{kind}, every bit: {counts}")
    assert counts["silent"] == 0


@pytest.mark.slow
def test_600_flipped_bits_of_a_bundled_source_reach_no_artefact(tmp_path, capsys):
    """A real one, as the workflow imports it: compared with the hash that config.yaml pins."""
    from import_source import require_hash

    entry = read_config()["sources"]["mini_l2"]
    content, draw, refused = (PROJECT / entry["path"]).read_bytes(), random.Random(0), 0
    for _ in range(600):
        (tmp_path / "l2.safetensors").write_bytes(flipped(content, draw.randrange(8 * len(content))))
        with pytest.raises(InputError, match=r"l2\.safetensors: has sha256"):
            require_hash(str(tmp_path / "l2.safetensors"), entry["hash"], "mini_l2")
        refused += 1
    with capsys.disabled():
        print(f"\nbundled source: {refused} of 600 refused")


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_artefact_is_refused_by_the_files_name(tmp_path, kind):
    contents = {file.name: file.read_bytes() for file in files_of(kind, tmp_path)}
    cuts = [(name, content[: tenth * len(content) // 10]) for name, content in contents.items() for tenth in range(10)]
    assert outcomes(kind, tmp_path, cuts) == {"refused": len(cuts), "read alike": 0, "silent": 0}


def test_metadata_is_read_without_the_tensors(tmp_path):
    """What planning and figures' tables ask of large artefacts."""
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1000)}, {"classes": 3, PROVENANCE: MADE})
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[:-1] + b"\xff")
    assert load_tensors(tmp_path / "x.safetensors", [])[1] == {"classes": 3, PROVENANCE: MADE}
    assert statement(tmp_path / "x.safetensors")[1] == MADE
    with pytest.raises(InputError, match=r"x\.safetensors: damaged, tensor 'a' is not as it was written\. Remove it"):
        load_tensors(tmp_path / "x.safetensors")
    assert json.loads(content[8:].split(b"\0", 1)[0].decode().strip())["a"]["shape"] == [1000]
