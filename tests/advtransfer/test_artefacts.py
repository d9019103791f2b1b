"""Round trips, and files that are whole or not there."""

import pandas as pd
import pytest
import torch

from advtransfer.artefacts import load_tensors, save_json, save_table, save_tensors, whole_file
from advtransfer.datasets import Dataset, load_dataset, load_labels
from advtransfer.errors import InputError


def test_tensors_and_metadata_round_trip(tmp_path):
    tensors = {"a": torch.arange(6).view(2, 3), "b": torch.randn(4).half(), "view": torch.arange(6).view(2, 3).t()}
    metadata = {"classes": 3, "threat": {"norm": "l2", "epsilon": 0.5}, "name": "ümlaut", "none": None}
    save_tensors(tmp_path / "x.safetensors", tensors, metadata)
    again, found = load_tensors(tmp_path / "x.safetensors")
    assert found == metadata
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    assert list(load_tensors(tmp_path / "x.safetensors", ["b"])[0]) == ["b"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_tables_round_trip(tmp_path, ending):
    table = pd.DataFrame({"seed": [20000000, 20100000], "test_accuracy": [0.1, 1 / 3], "target": ["a", "b"]})
    save_table(tmp_path / f"t.{ending}", table)
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    pd.testing.assert_frame_equal(read(tmp_path / f"t.{ending}"), table)


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
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(100)}, {})
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-50])
    with pytest.raises(InputError, match=r"cut\.safetensors: not a readable safetensors artefact"):
        load_tensors(tmp_path / "cut.safetensors")
    with pytest.raises(InputError, match="not a readable"):
        load_tensors(tmp_path / "x.safetensors", ["b"])
