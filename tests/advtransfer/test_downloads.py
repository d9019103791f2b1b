"""Files are fetched whole and verified, or not at all."""

import gzip
import hashlib
import shutil
import signal
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from advtransfer import downloads
from advtransfer.downloads import fetch, file_hash
from advtransfer.errors import InputError
from loopback import CONTENT, PAGE, serving

SCRIPT = Path(__file__).parents[2] / "scripts" / "download.py"
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
WRONG = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before repeated transfers, noted instead of waited for."""
    noted: list[float] = []
    monkeypatch.setattr(downloads.time, "sleep", noted.append)
    return noted


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A destination alone in its folder, so that whatever is left behind shows."""
    return tmp_path / "place" / "file.bin"


def left(place: Path) -> list[Path]:
    return list(place.parent.iterdir()) if place.parent.exists() else []


@pytest.mark.parametrize("way", ["good", "slow"])
def test_a_right_answer_arrives_whole_and_alone(server: ThreadingHTTPServer, place: Path, way: str) -> None:
    assert fetch(f"{server.url}/{way}/file.bin", place, SHA256) == place
    assert place.read_bytes() == CONTENT
    assert left(place) == [place]


def test_the_file_gets_the_permissions_of_the_umask(server: ThreadingHTTPServer, place: Path) -> None:
    fetch(f"{server.url}/good/file.bin", place, SHA256)
    ordinary = place.with_name("ordinary")
    ordinary.touch()
    assert place.stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize(("way", "finding"), [("corrupt", "has sha256"), ("truncated", "Read"), ("absent", "404")])
def test_a_bad_answer_leaves_nothing(server: ThreadingHTTPServer, place: Path, way: str, finding: str) -> None:
    url = f"{server.url}/{way}/file.bin"
    with pytest.raises(InputError, match=finding) as caught:
        fetch(url, place, SHA256, retries=1)
    message = str(caught.value)
    assert url in message
    assert "set 'mirror'" in message
    assert "\n" not in message
    assert left(place) == []
    # A 404 stays a 404; a damaged transfer may go better the next time.
    assert server.asked[f"/{way}/file.bin"] == (1 if way == "absent" else 2)


@pytest.mark.parametrize("way", ["busy", "cut"])
def test_a_passing_failure_is_repeated(
    server: ThreadingHTTPServer, place: Path, waits: list[float], capsys: pytest.CaptureFixture, way: str
) -> None:
    fetch(f"{server.url}/{way}/file.bin", place, SHA256)
    assert place.read_bytes() == CONTENT
    assert left(place) == [place]
    assert waits == [1]
    assert "trying again" in capsys.readouterr().err


def test_without_retries_a_passing_failure_is_final(server: ThreadingHTTPServer, place: Path) -> None:
    with pytest.raises(InputError, match="503"):
        fetch(f"{server.url}/busy/file.bin", place, SHA256, retries=0)


def test_an_unreachable_host_is_named(place: Path) -> None:
    # Port 9 of the loopback interface: nothing listens there.
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*refused"):
        fetch("http://127.0.0.1:9/file.bin", place, SHA256, retries=0)
    assert left(place) == []


def test_an_address_of_another_kind_is_refused(place: Path) -> None:
    with pytest.raises(InputError, match="not an http"):
        fetch("ftp://127.0.0.1/file.bin", place, SHA256)


def test_what_is_there_and_right_is_kept(server: ThreadingHTTPServer, place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(CONTENT)
    before = place.stat()
    fetch(f"{server.url}/good/file.bin", place, SHA256)
    assert place.stat() == before
    assert not server.asked


def test_what_is_there_and_wrong_is_fetched_again(server: ThreadingHTTPServer, place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(CONTENT[:99])
    fetch(f"{server.url}/good/file.bin", place, SHA256)
    assert place.read_bytes() == CONTENT


def test_what_is_wrong_does_not_stay_when_nothing_better_comes(server: ThreadingHTTPServer, place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(CONTENT[:99])
    with pytest.raises(InputError):
        fetch(f"{server.url}/absent/file.bin", place, SHA256)
    assert left(place) == []


def test_a_url_mirror_is_asked_first(server: ThreadingHTTPServer, place: Path) -> None:
    fetch("http://127.0.0.1:9/elsewhere/file.bin?raw=1", place, SHA256, mirror=f"{server.url}/good/")
    assert server.asked == {"/good/file.bin": 1}


def test_the_url_is_asked_where_the_mirror_has_no_file(server: ThreadingHTTPServer, place: Path) -> None:
    fetch(f"{server.url}/good/file.bin", place, SHA256, mirror=f"{server.url}/absent")
    assert server.asked == {"/absent/file.bin": 1, "/good/file.bin": 1}


def test_several_urls_are_asked_in_order(server: ThreadingHTTPServer, place: Path) -> None:
    fetch([f"{server.url}/absent/file.bin", f"{server.url}/good/file.bin"], place, SHA256)
    assert place.read_bytes() == CONTENT


def test_mirror_paths_are_asked_in_order(server: ThreadingHTTPServer, place: Path) -> None:
    paths = ["absent/file.bin", "good/file.bin"]
    fetch("http://127.0.0.1:9/file.bin", place, SHA256, server.url, mirror_paths=paths)
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize("inside", ["file.bin", "deep/down/file.bin"])
def test_a_folder_mirror_is_copied_and_not_touched(tmp_path: Path, place: Path, inside: str) -> None:
    original = tmp_path / "mirror" / inside
    original.parent.mkdir(parents=True)
    original.write_bytes(CONTENT)
    before = original.stat().st_mtime_ns, sorted((tmp_path / "mirror").rglob("*"))
    fetch("http://127.0.0.1:9/file.bin", place, SHA256, mirror=tmp_path / "mirror")
    assert place.read_bytes() == CONTENT
    assert not place.is_symlink()
    assert (original.stat().st_mtime_ns, sorted((tmp_path / "mirror").rglob("*"))) == before


def test_a_folder_may_hold_other_files_of_that_name(tmp_path: Path, place: Path) -> None:
    for folder, content in (("a", b"another file"), ("b", CONTENT)):
        (tmp_path / "mirror" / folder).mkdir(parents=True)
        (tmp_path / "mirror" / folder / "file.bin").write_bytes(content)
    fetch("http://127.0.0.1:9/file.bin", place, SHA256, mirror=tmp_path / "mirror")
    assert place.read_bytes() == CONTENT


def test_a_packed_file_in_a_folder_is_unpacked(tmp_path: Path, place: Path) -> None:
    (tmp_path / "mirror" / "below").mkdir(parents=True)
    (tmp_path / "mirror" / "below" / "file.bin.gz").write_bytes(gzip.compress(CONTENT))
    fetch("http://127.0.0.1:9/file.bin", place, SHA256, mirror=tmp_path / "mirror")
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "content", "finding"),
    [
        ("file.bin", CONTENT[:9], r"file\.bin has sha256 .*\(9 bytes\)"),
        ("file.bin.gz", gzip.compress(CONTENT)[:-9], r"file\.bin\.gz not readable"),
        ("file.bin.gz", b"no gzip", r"file\.bin\.gz not readable"),
        ("other.bin", CONTENT, r"holds no file file\.bin"),
    ],
)
def test_a_folder_without_the_right_file_is_described(
    tmp_path: Path, place: Path, name: str, content: bytes, finding: str
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / name).write_bytes(content)
    with pytest.raises(InputError, match=finding):
        fetch("http://127.0.0.1:9/file.bin", place, SHA256, mirror=tmp_path / "mirror", retries=0)
    assert left(place) == []


def test_a_missing_mirror_folder_is_described(tmp_path: Path, place: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        fetch("http://127.0.0.1:9/file.bin", place, SHA256, mirror=str(tmp_path / "absent"), retries=0)


def test_a_git_blob_id_is_what_git_says(tmp_path: Path, server: ThreadingHTTPServer, place: Path) -> None:
    # `printf 'test content\n' | git hash-object --stdin`, the example of the Git book.
    example = tmp_path / "example"
    example.write_bytes(b"test content\n")
    assert file_hash(example, "git") == "d670460b4b4aece5915caf5c68d12f560a9fe3e4"
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    fetch(f"{server.url}/good/file.bin", place, f"git:{blob}")
    with pytest.raises(InputError, match=f"has git {blob}"):
        fetch(f"{server.url}/good/file.bin", place, "git:" + "1" * 40, retries=0)


def test_one_of_several_hashes_is_enough(server: ThreadingHTTPServer, place: Path) -> None:
    fetch(f"{server.url}/good/file.bin", place, [WRONG, MD5])
    assert place.read_bytes() == CONTENT


def test_the_first_digits_of_a_sha256_are_enough(server: ThreadingHTTPServer, place: Path) -> None:
    """torchvision's checkpoints carry eight digits in their names."""
    fetch(f"{server.url}/good/file.bin", place, SHA256[: len("sha256:") + 8])
    assert place.read_bytes() == CONTENT
    with pytest.raises(InputError, match="not 00000000"):
        fetch(f"{server.url}/good/file.bin", place, "sha256:00000000", retries=0)


def test_without_a_published_hash_it_says_so(
    server: ThreadingHTTPServer, place: Path, capsys: pytest.CaptureFixture
) -> None:
    fetch(f"{server.url}/good/file.bin", place, [])
    assert place.read_bytes() == CONTENT
    assert f"no hash is published to compare with; its SHA-256 is {SHA256[7:]}" in capsys.readouterr().err
    with pytest.raises(InputError):
        fetch(f"{server.url}/truncated/file.bin", place.with_name("other"), [], retries=0)


def test_the_first_download_is_recorded_and_later_ones_must_match(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    lock = tmp_path / "resources" / "checksums.txt"
    fetch(f"{server.url}/good/file.bin", place, [], lock=lock)
    assert f"its SHA-256 {SHA256[7:]} is recorded in {lock}" in capsys.readouterr().err
    assert lock.read_text() == f"{SHA256[7:]}  file.bin\n"
    if shutil.which("sha256sum"):  # older macOS lacks it
        subprocess.run(["sha256sum", "--check", "--status", str(lock)], cwd=place.parent, check=True)
    place.unlink()
    fetch(f"{server.url}/slow/file.bin", place, [], lock=lock)
    assert f"it matches the SHA-256 recorded in {lock}" in capsys.readouterr().err
    place.unlink()
    with pytest.raises(
        InputError, match=rf"not {SHA256[7:]} recorded in .*, line 1 .*remove line 1 \(file\.bin\) from {lock}"
    ):
        fetch(f"{server.url}/corrupt/file.bin", place, [], retries=0, lock=lock)
    assert left(place) == []
    # What lies there already is compared as well.
    place.write_bytes(CONTENT[:9])
    fetch(f"{server.url}/good/file.bin", place, [], lock=lock)
    assert place.read_bytes() == CONTENT
    assert lock.read_text().count("\n") == 1


def test_a_weak_hash_is_recorded_and_a_whole_sha256_needs_no_record(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "checksums.txt"
    fetch(f"{server.url}/good/file.bin", place, SHA256, lock=lock)
    assert not lock.exists()
    fetch(f"{server.url}/good/file.bin", place, SHA256[:15], lock=lock)
    assert lock.read_text() == f"{SHA256[7:]}  file.bin\n"


def test_many_downloads_record_at_once(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    lock = tmp_path / "checksums.txt"
    names = [f"file{index}.bin" for index in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: fetch(f"{server.url}/good/{name}", tmp_path / name, [], lock=lock), names))
    assert sorted(line.split("  ")[1] for line in lock.read_text().splitlines()) == sorted(names)


def test_a_damaged_lock_file_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "checksums.txt").write_text("abc file.bin\n")
    with pytest.raises(InputError, match=r"checksums\.txt: line 1 is not '<SHA-256>  <file name>'\. Correct"):
        fetch("http://127.0.0.1:9/file.bin", place, [], lock=tmp_path / "checksums.txt")


OTHER = f"{'1' * 64}  other.bin"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_lock_file_without_its_last_newline_keeps_every_line(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path, end: str
) -> None:
    lock = tmp_path / "checksums.txt"
    lock.write_bytes((OTHER + end).encode())
    fetch(f"{server.url}/good/file.bin", place, [], lock=lock)
    assert [line for line in lock.read_text().splitlines() if line] == [OTHER, f"{SHA256[7:]}  file.bin"]
    place.unlink()
    with pytest.raises(InputError, match=r"remove line \d \(file\.bin\)"):
        fetch(f"{server.url}/corrupt/file.bin", place, [], retries=0, lock=lock)
    with pytest.raises(InputError, match=r"remove line 1 \(other\.bin\)"):
        fetch(f"{server.url}/good/other.bin", tmp_path / "other.bin", [], retries=0, lock=lock)


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        ([OTHER, OTHER + SHA256[7:] + "  file.bin"], "line 2 is not"),
        ([OTHER, f"{SHA256[7:]}  results/downloads/file.bin"], "line 2 is not"),
        ([f"{SHA256[7:]}  file.bin "], "line 1 is not"),
        ([f"{SHA256[7:]}   file.bin"], "line 1 is not"),
        ([f"{SHA256[7:]} *file.bin"], "line 1 is not"),
        ([SHA256[7:].upper() + "  file.bin"], "line 1 is not"),
        ([f"{SHA256[7:]}  "], "line 1 is not"),
        ([OTHER, OTHER.replace("1", "2")], r"lines 1 and 2 have different hashes of other\.bin\. Remove one"),
    ],
)
def test_a_line_that_would_pin_nothing_is_refused(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path, lines: list[str], finding: str
) -> None:
    lock = tmp_path / "checksums.txt"
    lock.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"checksums\.txt: {finding}"):
        fetch(f"{server.url}/good/file.bin", place, [], lock=lock)
    assert not server.asked


def test_a_lock_file_that_is_no_text_or_no_file_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "checksums.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    for name in ("checksums.txt", "folder"):
        with pytest.raises(InputError, match=rf"{name}: not readable as a list of hashes .*Correct or remove it"):
            fetch("https://127.0.0.1:9/file.bin", place, [], lock=tmp_path / name)


def test_a_lock_file_that_cannot_be_written_is_named(server: ThreadingHTTPServer, place: Path, tmp_path: Path) -> None:
    (tmp_path / "resources").symlink_to("nowhere")
    with pytest.raises(
        InputError, match=r"checksums\.txt: cannot be written .*file\.bin would not be compared the next"
    ):
        fetch(f"{server.url}/good/file.bin", place, [], lock=tmp_path / "resources" / "checksums.txt")


def test_a_hash_that_another_download_recorded_meanwhile_counts(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "checksums.txt"
    get = downloads._get_with_retries

    def get_and_be_late(*arguments: object) -> None:
        get(*arguments)
        lock.write_text(f"{'1' * 64}  file.bin\n")

    monkeypatch.setattr(downloads, "_get_with_retries", get_and_be_late)
    with pytest.raises(InputError, match=rf"has sha256 {SHA256[7:]}, not 1+ recorded in .*, line 1\. .* remove line 1"):
        fetch(f"{server.url}/good/file.bin", place, [], lock=lock)
    assert lock.read_text() == f"{'1' * 64}  file.bin\n"


@pytest.mark.parametrize(
    ("way", "finding"),
    [
        ("page", "is a web page, not the file"),
        ("empty", "is an empty file"),
        ("status304", "HTTP status 304"),
        ("status204", "HTTP status 204"),
        ("status206", "HTTP status 206"),
        ("status300", "HTTP status 300"),
    ],
)
def test_what_stands_in_for_a_file_is_not_recorded(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path, way: str, finding: str
) -> None:
    lock = tmp_path / "checksums.txt"
    with pytest.raises(InputError, match=finding):
        fetch(f"{server.url}/{way}/file.bin", place, [], retries=0, lock=lock)
    assert left(place) == []
    assert not lock.exists()
    # The next address, or the next run, is not spoiled.
    fetch([f"{server.url}/{way}/file.bin", f"{server.url}/good/file.bin"], place, [], retries=0, lock=lock)
    assert lock.read_text() == f"{SHA256[7:]}  file.bin\n"


@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt", "pth.tar", "safetensors"])
@pytest.mark.parametrize(
    ("content", "is_taken"),
    [
        (b"PK\x03\x04...", True),
        (b"\x80\x02\x8a\nl\xfc", True),
        (b"\x02\0\0\0\0\0\0\0{}", True),
        (b"\xff\0\0\0\0\0\0\0{}", False),
        (b'{"error": "rate limit"}', False),
        (b"Not found", False),
        (b"\n  <html>", False),
        (b"\xef\xbb\xbf<!DOCTYPE html>", False),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", False),
        (b"\0" * 1000, False),
    ],
)
def test_an_unknown_checkpoint_has_to_begin_like_one(
    tmp_path: Path, content: bytes, is_taken: bool, ending: str
) -> None:
    mirror, lock = tmp_path / "mirror", tmp_path / "checksums.txt"
    mirror.mkdir()
    (mirror / f"net.{ending}").write_bytes(content)
    url, place = f"https://127.0.0.1:9/net.{ending}", tmp_path / "place" / f"net.{ending}"
    if is_taken:
        fetch(url, place, [], mirror, lock=lock)
        assert place.read_bytes() == content
    else:
        with pytest.raises(InputError, match=r"net.* (is|begins like) "):
            fetch(url, place, [], mirror, lock=lock, retries=0)
        assert not lock.exists()
        # Its owner's word is enough.
        fetch(url, place, "sha256:" + hashlib.sha256(content).hexdigest(), mirror)


def test_a_page_that_lies_there_already_is_fetched_again(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path
) -> None:
    place.parent.mkdir()
    place.write_bytes(PAGE)
    fetch(f"{server.url}/good/file.bin", place, [], lock=tmp_path / "checksums.txt")
    assert place.read_bytes() == CONTENT


def test_a_page_that_was_recorded_is_named_with_its_line(
    server: ThreadingHTTPServer, place: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "checksums.txt"
    lock.write_text(f"{OTHER}\n{hashlib.sha256(PAGE).hexdigest()}  file.bin\n")
    place.parent.mkdir()
    place.write_bytes(PAGE)
    for way in ("good", "page"):
        with pytest.raises(InputError, match=r"remove line 2 \(file\.bin\) from .*checksums\.txt"):
            fetch(f"{server.url}/{way}/file.bin", place, [], retries=0, lock=lock)
        assert left(place) == []


def test_plain_http_needs_a_hash(server: ThreadingHTTPServer, place: Path, tmp_path: Path) -> None:
    """Anyone on the way could change the file. Nobody can on the way from this machine to itself."""
    url = "http://files.invalid/file.bin"
    for mirror in (None, "http://mirror.invalid/"):
        with pytest.raises(InputError, match=r"no hash is known, and http://files\.invalid/file\.bin is plain http"):
            fetch(url, place, [], mirror, retries=0)
    lock = tmp_path / "checksums.txt"
    lock.write_text(f"{SHA256[7:]}  file.bin\n")
    for known in ({"known_hash": SHA256}, {"known_hash": [], "lock": lock}):
        with pytest.raises(InputError) as caught:
            fetch(url, place, retries=0, **known)
        assert "plain http" not in str(caught.value)
    fetch(f"{server.url.replace('127.0.0.1', 'localhost')}/good/file.bin", place, [])


def test_a_redirection_to_plain_http_needs_a_hash(server: ThreadingHTTPServer, place: Path) -> None:
    away = f"{server.url}/away/{quote('http://files.invalid/x', safe='')}/file.bin"
    with pytest.raises(InputError, match=r"no hash is known, and http://files\.invalid/x is plain http"):
        fetch(away, place, [], retries=0)
    with pytest.raises(InputError) as caught:
        fetch(away, place, SHA256, retries=0)
    assert "plain http" not in str(caught.value)
    # As far as it stays on this machine it is followed.
    fetch(f"{server.url}/away/{quote(f'{server.url}/good/file.bin', safe='')}/file.bin", place, [])
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize("away", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_a_redirection_to_another_kind_of_address_is_refused(
    server: ThreadingHTTPServer, place: Path, away: str
) -> None:
    for known in ([], SHA256):
        with pytest.raises(InputError, match="No connection adapters"):
            fetch(f"{server.url}/away/{quote(away, safe='')}/file.bin", place, known, retries=0)
    assert left(place) == []


def test_a_redirection_from_https_to_plain_http_is_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, which makes the certificate of a TLS server on the loopback interface")
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    options = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *options],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context) as server:
        assert server.url.startswith("https://")
        fetch(f"{server.url}/good/file.bin", place, [])
        place.unlink()
        with pytest.raises(InputError, match=r"no hash is known, and http://files\.invalid/x is plain http"):
            fetch(f"{server.url}/away/{quote('http://files.invalid/x', safe='')}/file.bin", place, [], retries=0)
        assert left(place) == []


def test_an_address_that_is_none_is_named(place: Path) -> None:
    with pytest.raises(InputError, match=r"url 'https://\[half/file\.bin': not an address .*Correct it"):
        fetch("https://[half/file.bin", place, SHA256)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_download_leaves_no_file_and_the_next_one_completes(
    server: ThreadingHTTPServer, place: Path, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    monkeypatch.undo()  # the server has to be slow
    command = [
        sys.executable,
        SCRIPT,
        "--url",
        f"{server.url}/crawl/file.bin",
        "--hash",
        SHA256,
        "--output",
        str(place),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as download:
        while not server.asked:
            time.sleep(0.05)
        time.sleep(0.5)  # a few of its hundreds of pieces
        download.send_signal(kill)
        assert download.wait() != 0
    assert not place.exists()
    fetch(f"{server.url}/good/file.bin", place, SHA256)
    assert place.read_bytes() == CONTENT
    assert [path for path in left(place) if path != place and not path.name.startswith(".")] == []


def test_repacked_content_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    packed = gzip.compress(CONTENT, compresslevel=1)
    (tmp_path / "mirror" / "file.gz").write_bytes(packed)
    unpacked_hash = f"uncompressed-{SHA256}"
    place = tmp_path / "place" / "file.gz"
    fetch("http://127.0.0.1:9/file.gz", place, [WRONG, unpacked_hash], mirror=tmp_path / "mirror")
    assert place.read_bytes() == packed
    (tmp_path / "mirror" / "file.gz").write_bytes(gzip.compress(CONTENT + b"!"))
    place.unlink()
    with pytest.raises(InputError, match="has sha256"):
        fetch("http://127.0.0.1:9/file.gz", place, [WRONG, unpacked_hash], mirror=tmp_path / "mirror", retries=0)


@pytest.mark.parametrize("text", ["md5:123", SHA256[7:], "crc:" + "0" * 32, "md5:" + "g" * 32, ""])
def test_an_unknown_form_of_hash_is_refused(place: Path, text: str) -> None:
    with pytest.raises(InputError, match="known form"):
        fetch("http://127.0.0.1:9/file.bin", place, text)


def run_script(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_command_line_fetches(server: ThreadingHTTPServer, place: Path) -> None:
    done = run_script("--url", f"{server.url}/good/file.bin", "--hash", WRONG, "--hash", SHA256, "--output", str(place))
    assert done.returncode == 0, done.stderr
    assert place.read_bytes() == CONTENT


def test_the_command_line_fails_in_one_line(server: ThreadingHTTPServer, tmp_path: Path, place: Path) -> None:
    (tmp_path / "mirror").mkdir()
    url = f"{server.url}/absent/file.bin"
    done = run_script("--url", url, "--hash", SHA256, "--mirror", str(tmp_path / "mirror"), "--output", str(place))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert url in done.stderr
    assert left(place) == []


def test_fetching_imports_no_torch() -> None:
    code = "import sys, pooch, tqdm, requests, advtransfer.downloads; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, check=False).returncode == 0


def test_the_authors_logs_come_from_a_mirror_folder(shared: Path, place: Path) -> None:
    fetch(
        "https://raw.githubusercontent.com/utrerf/robust_transfer_learning/"
        "88718d38a5eeee5e169f407ff0aa7c55a5a358ba/results/consolidated_results.csv",
        place,
        "git:4a39972447031975adbed3f8c6ae31c582137bfa",
        mirror=shared / "reference",
    )
    assert file_hash(place, "sha256") == "6f801fbe6beda4305a90941de51bdb9b197ebee1075364519bd209913e5a9369"
