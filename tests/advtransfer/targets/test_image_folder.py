"""Image folders as users have them: many formats, and every way in which they can be wrong."""

import errno
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advtransfer.errors import InputError
from advtransfer.targets import listing
from advtransfer.targets.image_file import read_image
from advtransfer.targets.image_folder import build
from advtransfer.targets.listing import count, fingerprint, list_image_folder

SCRIPTS = Path(__file__).parents[3] / "scripts"
PLACE = "config.yaml: target 'leaves'"


def picture(seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (8, 6)) -> Image.Image:
    """A smooth random picture of width x height `size`."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)


def fill(folder: Path, mode: str = "RGB", classes: tuple[str, ...] = ("ash", "oak"), files: int = 3) -> Path:
    """Make a folder of PNGs for each class, all different."""
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(files):
            picture(100 * index + number, mode).save(folder / name / f"{number}.png")
    return folder


def fill_split(folder: Path, mode: str = "RGB") -> Path:
    fill(folder / "train", mode)
    fill(folder / "test", mode, files=2)
    return folder


def read(folder: Path, **settings: object):
    return build({"kind": "image_folder", "path": str(folder), **settings}, Path("unused"), PLACE)


def test_train_and_test_folders_are_read_as_they_are(tmp_path: Path) -> None:
    dataset = read(fill_split(tmp_path))
    assert dataset.train_images.shape == (6, 3, 6, 8)
    assert dataset.test_images.shape == (4, 3, 6, 8)
    assert dataset.train_images.dtype == dataset.test_images.dtype == torch.uint8
    assert dataset.class_names == ["ash", "oak"]
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.train_labels.dtype == torch.int64
    expected = np.asarray(Image.open(tmp_path / "train" / "oak" / "2.png")).transpose(2, 0, 1)
    assert np.array_equal(dataset.train_images[5].numpy(), expected)
    assert count({"path": str(tmp_path)}, PLACE) == {"train": 6, "test": 4, "classes": 2}


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "webp"])
def test_every_usual_format_is_read(tmp_path: Path, ending: str) -> None:
    fill_split(tmp_path)
    for file in tmp_path.rglob("*.png"):
        original = Image.open(file)
        # jpg and webp would otherwise lose more than the comparison below allows.
        quality = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}
        original.save(file.with_suffix(f".{ending}"), **quality.get(ending, {}))
        if ending != "png":
            file.unlink()
    images = read(tmp_path).train_images
    assert images.shape == (6, 3, 6, 8)
    # A gif has 256 colours, chosen for the picture.
    difference = images[0].permute(1, 2, 0).numpy().astype(int) - np.asarray(picture(0))
    assert np.abs(difference).max() <= {"jpg": 6, "gif": 24}.get(ending, 0)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("P", 3), ("RGBA", 3), ("LA", 3)])
def test_images_are_grey_or_rgb(tmp_path: Path, mode: str, channels: int) -> None:
    dataset = read(fill_split(tmp_path, mode))
    assert dataset.train_images.shape == (6, channels, 6, 8)
    expected = np.asarray(Image.open(tmp_path / "train" / "ash" / "0.png").convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(dataset.train_images[0].permute(1, 2, 0).squeeze(-1).numpy(), expected)


def test_one_coloured_image_makes_all_of_them_rgb(tmp_path: Path) -> None:
    fill_split(tmp_path, "L")
    picture(7, "RGB").save(tmp_path / "test" / "oak" / "0.png")
    dataset = read(tmp_path)
    assert dataset.train_images.shape[1] == dataset.test_images.shape[1] == 3
    assert torch.equal(dataset.train_images[:, 0], dataset.train_images[:, 2])


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    fill_split(tmp_path, "L")
    levels = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "train" / "ash" / "0.png")
    dataset = read(tmp_path)
    assert dataset.train_images.shape[1] == 1
    assert np.abs(dataset.train_images[0, 0].numpy() - levels / 257).max() <= 1


def test_images_are_turned_as_their_camera_says(tmp_path: Path) -> None:
    fill_split(tmp_path)
    upright = Image.open(tmp_path / "train" / "ash" / "0.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "train" / "ash" / "0.png", exif=exif)
    assert np.array_equal(read(tmp_path).train_images[0].permute(1, 2, 0).numpy(), np.asarray(upright))


def test_images_of_several_sizes_need_a_resolution(tmp_path: Path) -> None:
    fill_split(tmp_path)
    picture(0, size=(20, 10)).save(tmp_path / "test" / "ash" / "0.png")
    with pytest.raises(InputError, match=r"2 sizes, from 8x6 to 20x10 pixels\. Set 'resolution'"):
        read(tmp_path)
    dataset = read(tmp_path, resolution=16)
    assert dataset.train_images.shape[2:] == dataset.test_images.shape[2:] == (16, 16)


def damage(file: Path, way: str) -> None:
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "text": b"no image", "cut": content[: len(content) // 2]}[way])


@pytest.mark.parametrize("way", ["empty", "text", "cut"])
def test_unreadable_images_are_named_or_skipped(tmp_path: Path, way: str) -> None:
    fill_split(tmp_path)
    bad = tmp_path / "train" / "ash" / "1.png"
    damage(bad, way)
    with pytest.raises(InputError, match="1 unreadable") as caught:
        read(tmp_path)
    assert str(bad) in str(caught.value)
    assert "unreadable: skip" in str(caught.value)
    dataset = read(tmp_path, unreadable="skip")
    assert dataset.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert dataset.origin["skipped"] == [str(bad)]


def test_a_cut_jpg_is_unreadable(tmp_path: Path) -> None:
    fill_split(tmp_path)
    bad = tmp_path / "train" / "ash" / "9.jpg"
    picture(9, size=(64, 64)).save(bad)
    damage(bad, "cut")
    with pytest.raises(InputError, match=r"9\.jpg"):
        read(tmp_path)


def test_a_class_that_skipping_empties_is_refused(tmp_path: Path) -> None:
    fill_split(tmp_path)
    for file in (tmp_path / "test" / "oak").iterdir():
        damage(file, "text")
    with pytest.raises(InputError, match=r"class 'oak' .* has no readable image for testing"):
        read(tmp_path, unreadable="skip")


def test_hidden_files_and_folders_do_not_count(tmp_path: Path) -> None:
    fill_split(tmp_path)
    for name in ("train/.DS_Store", "train/ash/._0.png", "train/oak/.hidden"):
        (tmp_path / name).write_bytes(b"not an image")
    (tmp_path / "train" / ".cache").mkdir()
    assert len(read(tmp_path).train_images) == 6


def test_a_share_splits_every_class_without_overlap(tmp_path: Path) -> None:
    fill(tmp_path, classes=("ash", "oak", "yew"), files=10)
    parts = list_image_folder(tmp_path, 0.3, PLACE)
    for name in ("ash", "oak", "yew"):
        train, test = set(parts["train"][name]), set(parts["test"][name])
        assert (len(train), len(test)) == (7, 3)
        assert train | test == set((tmp_path / name).iterdir())
    # Shuffled, not cut: the files of a folder are often sorted by something.
    assert any(file.stem not in {"7", "8", "9"} for file in parts["test"]["ash"])
    assert list_image_folder(tmp_path, 0.3, PLACE) == parts
    dataset = read(tmp_path, test_share=0.3)
    assert dataset.test_labels.bincount().tolist() == [3, 3, 3]
    assert count({"path": str(tmp_path), "test_share": 0.3}, PLACE) == {"train": 21, "test": 9, "classes": 3}


@pytest.mark.parametrize("share", [0, 1.5, -0.2])
def test_a_share_outside_0_and_1_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(InputError, match="test_share"):
        count({"path": str(fill(tmp_path)), "test_share": share}, PLACE)


def test_a_class_of_one_image_cannot_be_split(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, classes=("elm",), files=1)
    with pytest.raises(InputError, match="class 'elm' has 1 file"):
        count({"path": str(tmp_path), "test_share": 0.2}, PLACE)


def test_folders_of_another_layout_are_refused(tmp_path: Path) -> None:
    def refused(folder: Path, finding: str, **settings: object) -> None:
        with pytest.raises(InputError, match=finding) as caught:
            count({"path": str(folder), **settings}, PLACE)
        assert str(caught.value).startswith(PLACE)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "absent", "is not a folder")
    refused(fill(tmp_path / "unsplit"), "set 'test_share'")
    refused(fill_split(tmp_path / "split"), "Remove 'test_share'", test_share=0.2)
    fill(tmp_path / "half" / "train")
    refused(tmp_path / "half", "not both train/ and test/")
    fill(fill_split(tmp_path / "odd") / "test", classes=("yew",))
    refused(tmp_path / "odd", "class 'yew' is in only one")
    (fill_split(tmp_path / "hollow") / "train" / "beech").mkdir()
    refused(tmp_path / "hollow", "'beech' .* is empty")
    refused(fill(tmp_path / "single", classes=("ash",)), "At least 2", test_share=0.2)


@pytest.mark.parametrize("share", [None, 0.5])
def test_what_is_skipped_does_not_count(tmp_path: Path, share: float | None) -> None:
    """An experiment on all images asks for as many as `count` says."""
    folder = fill_split(tmp_path / "leaves") if share is None else fill(tmp_path / "leaves", files=6)
    for file in list(folder.rglob("1.png"))[:3]:
        damage(file, "cut")
    (folder / "train" / "ash" if share is None else folder / "ash").joinpath("9.png").symlink_to("nowhere")
    settings = {"path": str(folder), "unreadable": "skip"} | ({} if share is None else {"test_share": share})
    dataset = build(settings, tmp_path, PLACE)
    found = {"train": len(dataset.train_labels), "test": len(dataset.test_labels), "classes": 2}
    assert len(dataset.origin["skipped"]) > 2
    assert count(settings, PLACE) == count(settings, PLACE, tmp_path / "cache") == found
    # Without that setting every file counts: the first unreadable one ends the job that reads them.
    settings["unreadable"] = "refuse"
    assert sum(count(settings, PLACE).values()) == sum(found.values()) + len(dataset.origin["skipped"])


def test_the_list_of_skipped_files_is_kept_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, cache = {"path": str(fill_split(tmp_path / "leaves")), "unreadable": "skip"}, tmp_path / "cache"
    bad = tmp_path / "leaves" / "train" / "ash" / "1.png"
    content = bad.read_bytes()
    damage(bad, "cut")
    looked: list[Path] = []
    monkeypatch.setattr(listing, "read_image", lambda file, *_: looked.append(file) or read_image(file))

    def look() -> int:
        looked.clear()
        # Another start of Snakemake: what the process knows is gone.
        listing._is_readable.cache_clear()
        return count(settings, PLACE, cache)["train"]

    assert (look(), len(looked)) == (5, 10)
    assert (look(), len(looked)) == (5, 0)
    bad.write_bytes(content)
    assert (look(), len(looked)) == (6, 10)
    for kept in cache.iterdir():
        kept.write_text("[99]")
    assert (look(), len(looked)) == (6, 10)


def test_counting_what_is_left_names_an_emptied_class(tmp_path: Path) -> None:
    fill_split(tmp_path)
    for file in (tmp_path / "test" / "oak").iterdir():
        damage(file, "text")
    with pytest.raises(InputError, match=r"class 'oak' .* has no readable image for testing"):
        count({"path": str(tmp_path), "unreadable": "skip"}, PLACE)


def test_files_that_nobody_would_read_are_named(tmp_path: Path) -> None:
    def refused(folder: Path, finding: str) -> None:
        with pytest.raises(InputError, match=finding) as caught:
            count({"path": str(folder)}, PLACE)
        assert str(caught.value).startswith(PLACE)
        assert "\n" not in str(caught.value)

    (fill_split(tmp_path / "nested") / "train" / "ash" / "more").mkdir()
    refused(tmp_path / "nested", "class folder 'ash' in .* holds a folder, more, whose images would not be read")
    picture(1).save(fill_split(tmp_path / "beside") / "test" / "stray.PNG")
    refused(tmp_path / "beside", r"test/stray\.PNG lies beside the class folders and would not be read\. Move it")
    (fill_split(tmp_path / "lost") / "train" / "yew").symlink_to("nowhere")
    refused(tmp_path / "lost", "train/yew lies beside the class folders and would not be read")
    os.mkfifo(fill_split(tmp_path / "pipe") / "train" / "ash" / "9.png")
    refused(tmp_path / "pipe", r"ash/9\.png is neither a file nor a folder\. Remove it")
    (fill_split(tmp_path / "fine") / "train" / "README").write_text("Where the pictures come from.")
    assert count({"path": str(tmp_path / "fine")}, PLACE)["train"] == 6


def test_a_link_to_nothing_is_an_unreadable_file(tmp_path: Path) -> None:
    fill_split(tmp_path)
    (tmp_path / "train" / "ash" / "9.png").symlink_to("nowhere")
    (tmp_path / "train" / "ash" / "8.png").symlink_to(tmp_path / "train" / "ash" / "0.png")
    with pytest.raises(InputError, match=r"1 unreadable image file\(s\): .*9\.png \(.*No such file"):
        read(tmp_path)
    assert len(read(tmp_path, unreadable="skip").train_labels) == 7
    assert fingerprint({"path": str(tmp_path)}, PLACE)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the administrator every folder can be, the refusal is a stand-in."""
    fill_split(tmp_path)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "oak":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    with pytest.raises(
        InputError, match=r"leaves.*train/oak cannot be listed \(Permission denied\)\. .*make it readable"
    ):
        read(tmp_path)
    with pytest.raises(InputError, match=r"cannot be listed \(File name too long\)"):
        count({"path": "x" * 1000}, PLACE)


def test_classes_have_names_of_any_script(tmp_path: Path) -> None:
    """The second name has a character that takes no room, as Persian needs it."""
    names = ("Eiche ä", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
    for part in ("train", "test"):
        fill(tmp_path / part, classes=names)
    assert read(tmp_path).class_names == list(names)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    fill_split(tmp_path)
    plain = fingerprint({"path": str(tmp_path)}, PLACE)
    odd = os.fsencode(tmp_path / "train" / "ash") + b"/\xff\n.png"
    with open(odd, "wb") as file:
        picture(5).save(file, "png")
    assert count({"path": str(tmp_path)}, PLACE)["train"] == len(read(tmp_path).train_labels) == 7
    assert fingerprint({"path": str(tmp_path)}, PLACE) != plain
    with open(odd, "wb") as file:
        file.write(b"no image")
    with pytest.raises(InputError, match=r"ash/.udcff.n\.png' \(cannot identify") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
    dataset = read(tmp_path, unreadable="skip")
    dataset.save(tmp_path / "leaves.safetensors")
    os.mkdir(os.fsencode(tmp_path / "train") + b"/\xff")
    with pytest.raises(InputError, match=r"class folder '.udcff' in .* has a name that is no UTF-8 text"):
        count({"path": str(tmp_path)}, PLACE)


@pytest.mark.parametrize("settings", [{"resize": 16}, {"resize": 16, "resolution": 17}])
def test_resize_needs_a_resolution_that_fits(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"'resize' is 16, with 'resolution' (None|17)\. Give a resolution"):
        read(fill_split(tmp_path), **settings)


def test_pixels_of_an_unknown_range_are_unreadable(tmp_path: Path) -> None:
    """Clipped at 0 and 255, as PIL does it, they would be another picture."""
    fill_split(tmp_path, "L")
    Image.fromarray(np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)).save(tmp_path / "train" / "ash" / "8.tif")
    Image.fromarray(np.full((6, 8), 70_000, dtype=np.int32)).save(tmp_path / "train" / "ash" / "9.tif")
    with pytest.raises(
        InputError,
        match=r"2 unreadable .*8\.tif \(pixels from 0 to 1, not from 0 to 255\).*9\.tif \(pixels have more than 16",
    ):
        read(tmp_path)


def test_floating_point_pixels_from_0_to_255_are_read(tmp_path: Path) -> None:
    fill_split(tmp_path, "L")
    levels = np.linspace(0, 255, 48, dtype=np.float32).reshape(6, 8)
    Image.fromarray(levels).save(tmp_path / "train" / "ash" / "0.tif")
    (tmp_path / "train" / "ash" / "0.png").unlink()
    assert np.abs(read(tmp_path).train_images[0, 0].numpy() - levels).max() <= 0.5


def test_a_line_of_pixels_is_not_blown_up(tmp_path: Path) -> None:
    fill_split(tmp_path, "L")
    picture(0, "L", size=(30_000, 1)).save(tmp_path / "train" / "ash" / "9.png")
    with pytest.raises(InputError, match=r"9\.png \(30000x1 pixels is too narrow to be resized\)"):
        read(tmp_path, resize=256, resolution=224)
    assert read(tmp_path, resolution=8).train_images.shape == (7, 1, 8, 8)


def test_counting_imports_no_torch(tmp_path: Path) -> None:
    code = "import sys, advtransfer.targets.listing, advtransfer.targets.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=False).returncode == 0


def test_real_cifar_images_are_read(shared: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared / "data" / "cifar10-sample.zip") as archive:
        archive.extractall(tmp_path)
    dataset = read(tmp_path / "cifar10")
    assert dataset.train_images.shape == (8000, 3, 32, 32)
    assert dataset.test_images.shape == (2000, 3, 32, 32)
    assert len(dataset.class_names) == len(dataset.train_labels.unique()) == 10
    assert count({"path": str(tmp_path / "cifar10")}, PLACE) == {"train": 8000, "test": 2000, "classes": 10}


def test_a_validation_folder_has_test_images_only(tmp_path: Path) -> None:
    """ImageNet's way: the shorter side to 256, the central 224x224; here 16 and 10, against torchvision's transforms."""
    from torchvision.transforms import v2

    for name, size in (("ash", (20, 31)), ("oak", (40, 25))):
        (tmp_path / "val" / name).mkdir(parents=True)
        picture(len(name) + size[0], size=size).save(tmp_path / "val" / name / "0.png")
    settings = {"path": str(tmp_path / "val"), "test_share": 1, "resize": 16, "resolution": 10}
    dataset = build(settings, tmp_path, PLACE)
    assert dataset.train_images.shape == (0, 3, 10, 10)
    assert dataset.train_labels.dtype == torch.int64
    assert dataset.test_labels.tolist() == [0, 1]
    assert count(settings, PLACE) == {"train": 0, "test": 2, "classes": 2}
    theirs = v2.Compose([v2.Resize(16), v2.CenterCrop(10), v2.PILToTensor()])
    for image, name in zip(dataset.test_images, ("ash", "oak"), strict=True):
        with Image.open(tmp_path / "val" / name / "0.png") as opened:
            assert torch.equal(image, theirs(opened))
