"""The six torchvision targets, from miniature archives in the true formats; and MNIST itself with --shared."""

import errno
import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets

from advtransfer import downloads as downloads_module
from advtransfer.datasets import Dataset, load_dataset
from advtransfer.errors import InputError
from advtransfer.targets import torchvision as target
from advtransfer.targets.catalogue import TORCHVISION, DataSet

SCRIPT = Path(__file__).parents[3] / "scripts" / "target.py"
PLACE = "config.yaml: target 'leaves'"
FAMILIES = {"CIFAR10": "cifar", "CIFAR100": "cifar", "SVHN": "svhn"} | dict.fromkeys(
    ["FashionMNIST", "KMNIST", "MNIST"], "mnist"
)
TRAIN, TEST, CLASSES = 20, 12, 4


class Fake:
    """A miniature of one data set: its images, and its archives laid out below `folder` as torchvision does."""

    def __init__(self, dataset: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dataset, self.folder, self.family = dataset, folder, FAMILIES[dataset]
        shape = (1, 28, 28) if self.family == "mnist" else (3, 32, 32)
        random = np.random.default_rng(len(dataset))
        self.images = [random.integers(0, 256, (n, *shape), dtype=np.uint8) for n in (TRAIN, TEST)]
        self.labels = [np.arange(n) % CLASSES for n in (TRAIN, TEST)]
        folder.mkdir(parents=True, exist_ok=True)
        self.cls = getattr(datasets, dataset)
        monkeypatch.setitem(TORCHVISION, dataset, DataSet(TRAIN, TEST, CLASSES, (1, 28, 28)))
        # No test reaches a publisher: nothing listens on this port.
        {"cifar": self._cifar, "svhn": self._svhn, "mnist": self._mnist}[self.family](
            monkeypatch, "http://127.0.0.1:9/"
        )
        self.archives = sorted(file for file in folder.rglob("*") if file.is_file())

    def _cifar(self, monkeypatch: pytest.MonkeyPatch, site: str) -> None:
        cls = self.cls
        key, names = cls.meta["key"], [f"name {label}" for label in range(CLASSES)]
        files = {cls.meta["filename"]: {key: names}}
        for listed, images, labels in zip((cls.train_list, cls.test_list), self.images, self.labels, strict=True):
            for index, (name, _) in enumerate(listed):
                part = slice(index * len(images) // len(listed), (index + 1) * len(images) // len(listed))
                label_key = "labels" if self.dataset == "CIFAR10" else "fine_labels"
                files[name] = {"data": images[part].reshape(-1, 3072), label_key: labels[part].tolist()}
        packed = {name: pickle.dumps(content, protocol=2) for name, content in files.items()}
        with tarfile.open(self.folder / cls.filename, "w:gz") as archive:
            for name, content in packed.items():
                member = tarfile.TarInfo(f"{cls.base_folder}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        md5 = {name: hashlib.md5(content).hexdigest() for name, content in packed.items()}
        monkeypatch.setattr(cls, "train_list", [[name, md5[name]] for name, _ in cls.train_list])
        monkeypatch.setattr(cls, "test_list", [[name, md5[name]] for name, _ in cls.test_list])
        monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5[cls.meta["filename"]]})
        monkeypatch.setattr(cls, "tgz_md5", hashlib.md5((self.folder / cls.filename).read_bytes()).hexdigest())
        monkeypatch.setattr(cls, "url", site + cls.filename)
        self.class_names = names

    def _svhn(self, monkeypatch: pytest.MonkeyPatch, site: str) -> None:
        split = {}
        for part, images, labels in zip(("train", "test"), self.images, self.labels, strict=True):
            name = self.cls.split_list[part][1]
            # SVHN writes the digit 0 as 10.
            content = {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:, None]}
            scipy.io.savemat(self.folder / name, content)
            split[part] = [site + name, name, hashlib.md5((self.folder / name).read_bytes()).hexdigest()]
        monkeypatch.setattr(self.cls, "split_list", split)
        self.class_names = [str(digit) for digit in range(10)]

    def _mnist(self, monkeypatch: pytest.MonkeyPatch, site: str) -> None:
        folder = self.folder / self.dataset / "raw"
        folder.mkdir(parents=True)
        resources, unpacked_md5 = [], {}
        for prefix, images, labels in zip(("train", "t10k"), self.images, self.labels, strict=True):
            contents = {
                f"{prefix}-images-idx3-ubyte": struct.pack(">4i", 2051, len(images), 28, 28) + images.tobytes(),
                f"{prefix}-labels-idx1-ubyte": struct.pack(">2i", 2049, len(labels))
                + labels.astype(np.uint8).tobytes(),
            }
            for name, content in contents.items():
                packed = gzip.compress(content)
                (folder / f"{name}.gz").write_bytes(packed)
                resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
                unpacked_md5[name] = hashlib.md5(content).hexdigest()
        monkeypatch.setattr(self.cls, "resources", resources)
        monkeypatch.setattr(self.cls, "mirrors", [site])
        if self.dataset in target.UNPACKED_MD5:
            monkeypatch.setitem(target.UNPACKED_MD5, self.dataset, unpacked_md5)
        self.class_names = list(self.cls.classes)

    def unpack(self) -> None:
        """Leave the data set as torchvision leaves it after a download."""
        for file in self.archives:
            if file.name.endswith(".tar.gz"):
                with tarfile.open(file) as archive:
                    archive.extractall(self.folder, filter="data")
            elif file.suffix == ".gz":
                file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))

    def assert_same(self, dataset: Dataset) -> None:
        """Every image and label arrived, in order."""
        for found, expected in (
            (dataset.train_images, self.images[0]),
            (dataset.test_images, self.images[1]),
            (dataset.train_labels, self.labels[0]),
            (dataset.test_labels, self.labels[1]),
        ):
            assert found.is_contiguous()
            assert np.array_equal(found.numpy(), expected)
        assert dataset.train_images.dtype == torch.uint8
        assert dataset.train_labels.dtype == torch.int64
        assert dataset.class_names == self.class_names


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads_module.time, "sleep", lambda _: None)


@pytest.fixture(params=sorted(FAMILIES))
def fake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(request.param, tmp_path / "theirs", monkeypatch)


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that shows the folder of the fake."""
    handler = partial(_Quiet, directory=str(tmp_path / "theirs"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def build(fake: Fake, downloads: Path, **settings: object) -> Dataset:
    return target.build({"kind": "torchvision", "dataset": fake.dataset, **settings}, downloads, PLACE)


def test_archives_in_data_root_are_copied_and_read(fake: Fake, downloads: Path) -> None:
    expected = [file.relative_to(fake.folder) for file in fake.archives]
    if fake.family == "svhn":
        # Where they lie, SVHN's files could be read in place; elsewhere below data_root they are only archives.
        (fake.folder / "below").mkdir()
        for file in fake.archives:
            file.rename(fake.folder / "below" / file.name)
    before = snapshot(fake.folder)
    dataset = build(fake, downloads, data_root=str(fake.folder))
    fake.assert_same(dataset)
    assert dataset.origin["verified"] is True
    assert snapshot(fake.folder) == before
    kept = sorted(file.relative_to(downloads / fake.dataset) for file in downloads.rglob("*") if file.is_file())
    assert kept == expected
    # From now on the downloads are enough.
    assert build(fake, downloads).fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize("inside", ["", "named"])
def test_an_unpacked_data_root_is_read_in_place(fake: Fake, downloads: Path, tmp_path: Path, inside: str) -> None:
    fake.unpack()
    for archive in fake.archives:
        if fake.family != "svhn":
            archive.unlink()
    root = fake.folder
    if inside:
        root = tmp_path / "root"
        root.mkdir()
        shutil.copytree(fake.folder, root / fake.dataset)
    before = snapshot(root)
    dataset = build(fake, downloads, data_root=str(root))
    fake.assert_same(dataset)
    assert dataset.origin["verified"] is (fake.dataset != "KMNIST")
    assert snapshot(root) == before
    assert not downloads.exists()


def test_archives_come_from_a_url_mirror(fake: Fake, downloads: Path, address: str) -> None:
    fake.assert_same(build(fake, downloads, mirror=address))


def test_archives_come_from_their_publisher(
    fake: Fake, downloads: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fake.family == "cifar":
        monkeypatch.setattr(fake.cls, "url", f"{address}/{fake.cls.filename}")
    elif fake.family == "svhn":
        split = {part: [f"{address}/{name}", name, md5] for part, (_, name, md5) in fake.cls.split_list.items()}
        monkeypatch.setattr(fake.cls, "split_list", split)
    else:
        # The first address is dead, as one of MNIST's has been for years.
        monkeypatch.setattr(fake.cls, "mirrors", [f"{address}/gone/", f"{address}/{fake.dataset}/raw/"])
    fake.assert_same(build(fake, downloads))


def test_data_sets_with_files_of_the_same_name_share_a_root(
    tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = [Fake(name, tmp_path / "theirs", monkeypatch) for name in ("FashionMNIST", "KMNIST", "MNIST")]
    for fake in fakes:
        fake.assert_same(build(fake, downloads, data_root=str(tmp_path / "theirs")))


def test_a_truncated_archive_is_named(fake: Fake, downloads: Path) -> None:
    damaged = fake.archives[-1]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(InputError) as caught:
        build(fake, downloads, data_root=str(fake.folder))
    message = str(caught.value)
    assert message.startswith(PLACE)
    assert f"{damaged.name} has md5" in message.lower()
    assert "\n" not in message
    assert not list(downloads.rglob(damaged.name))


def test_a_damaged_unpacked_file_is_named(fake: Fake, downloads: Path) -> None:
    fake.unpack()
    layout = target._LAYOUTS[fake.dataset](fake.dataset)
    damaged = fake.folder / next(iter(layout.read))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"has MD5|not readable as KMNIST") as caught:
        build(fake, downloads, data_root=str(fake.folder))
    assert str(damaged if fake.dataset != "KMNIST" else fake.folder) in str(caught.value)
    assert "Replace" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "place", "content"),
    [
        # The type and the number of dimensions, the number of images, the height, a label.
        ("train-images-idx3-ubyte", 2, b"\x07"),
        ("train-images-idx3-ubyte", 3, b"\xff"),
        ("train-images-idx3-ubyte", 4, b"\x7f\xff\xff\xff"),
        ("train-images-idx3-ubyte", 4, b"\xff\xff\xff\xff"),
        ("train-images-idx3-ubyte", 8, struct.pack(">2i", 56, 14)),
        ("train-labels-idx1-ubyte", 8, b"\xc8"),
        ("t10k-labels-idx1-ubyte", 8, b"\xc8"),
    ],
)
def test_a_damaged_file_that_nothing_can_verify_is_refused(
    tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: int, content: bytes
) -> None:
    """No MD5 is published of KMNIST's unpacked files."""
    fake = Fake("KMNIST", tmp_path / "theirs", monkeypatch)
    fake.unpack()
    file = next(fake.folder.rglob(name))
    damaged = bytearray(file.read_bytes())
    damaged[place : place + len(content)] = content
    file.write_bytes(damaged)
    with pytest.raises(InputError, match=r"KMNIST.* Replace its files") as caught:
        build(fake, downloads, data_root=str(fake.folder))
    assert str(caught.value).startswith(PLACE)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the administrator may read every file, the refusal is a stand-in."""
    fake = Fake("MNIST", tmp_path / "theirs", monkeypatch)
    fake.unpack()

    def refuse(path: Path, kind: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(target, "file_hash", refuse)
    with pytest.raises(InputError, match=r"ubyte is not readable \(Permission denied\)\. Make it readable"):
        build(fake, downloads, data_root=str(fake.folder))


def test_other_numbers_of_images_are_refused(fake: Fake, downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TORCHVISION, fake.dataset, DataSet(TRAIN + 1, TEST, CLASSES, (1, 28, 28)))
    with pytest.raises(InputError, match=f"has {TRAIN} training images, {TEST} test images and {CLASSES} classes"):
        build(fake, downloads, data_root=str(fake.folder))


def test_an_archive_packed_anew_is_known_by_its_content(
    tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake("MNIST", tmp_path / "theirs", monkeypatch)
    for archive in fake.archives:
        archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()), compresslevel=1, mtime=1))
    fake.assert_same(build(fake, downloads, data_root=str(fake.folder)))
    changed = bytearray(gzip.decompress(fake.archives[0].read_bytes()))
    changed[-1] ^= 1
    fake.archives[0].write_bytes(gzip.compress(bytes(changed)))
    with pytest.raises(InputError, match="has md5"):
        build(fake, tmp_path / "again", data_root=str(fake.folder))


def test_an_absent_data_root_and_an_unknown_name_are_refused(tmp_path: Path, downloads: Path) -> None:
    with pytest.raises(InputError, match=r"data_root .* is not a folder"):
        target.build({"dataset": "MNIST", "data_root": str(tmp_path / "absent")}, downloads, PLACE)
    with pytest.raises(InputError, match="unknown dataset 'ImageNet'"):
        target.build({"dataset": "ImageNet"}, downloads, PLACE)


def test_the_table_of_counts_names_every_data_set() -> None:
    assert set(target._LAYOUTS) == set(TORCHVISION)


def run_script(settings: str, downloads: Path, output: Path) -> subprocess.CompletedProcess:
    arguments = ["--settings", settings, "--name", "leaves", "--downloads", downloads, "--output", output]
    arguments += ["--files", "none", "--code", "0123456789abcdef"]
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_command_line_writes_an_artefact(downloads: Path, tmp_path: Path) -> None:
    done = run_script('{"kind": "digits"}', downloads, tmp_path / "leaves.safetensors")
    assert done.returncode == 0, done.stderr
    assert load_dataset(tmp_path / "leaves.safetensors").train_images.shape == (1297, 1, 8, 8)


def test_the_command_line_fails_in_one_line(downloads: Path, tmp_path: Path) -> None:
    done = run_script('{"kind": "image_folder", "path": "absent"}', downloads, tmp_path / "leaves.safetensors")
    assert done.returncode == 1
    assert done.stderr.startswith(PLACE)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "leaves.safetensors").exists()


def test_mnist_itself_is_read(shared: Path, downloads: Path) -> None:
    dataset = target.build({"dataset": "MNIST", "data_root": str(shared / "data")}, downloads, PLACE)
    assert dataset.train_images.shape == (60_000, 1, 28, 28)
    assert dataset.test_images.shape == (10_000, 1, 28, 28)
    # The first labels, as every user of MNIST knows them.
    assert dataset.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
