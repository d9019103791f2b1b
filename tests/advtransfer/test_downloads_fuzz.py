"""Damaged lock files and answers: a pin holds or is refused by the number of its line, and nothing wrong is recorded."""

import hashlib
import random
from pathlib import Path

import pytest
from mutations import TIMES, count_outcomes, damage

from advtransfer.downloads import fetch
from advtransfer.errors import InputError
from loopback import CONTENT, PAGE

MANY = 400 * TIMES


@pytest.mark.slow
def test_damaged_lock_files_pin_or_are_refused(tmp_path: Path) -> None:
    """A line with the name of the file decides, or the lock file is refused; the other lines stay as they are."""
    draw = random.Random(f"locks {TIMES}")
    mirror, place, lock = tmp_path / "mirror", tmp_path / "net.pt", tmp_path / "checksums.txt"
    mirror.mkdir()
    (mirror / "net.pt").write_bytes(CONTENT)
    digits = hashlib.sha256(CONTENT).hexdigest()
    lines = [f"{digits}  net.pt", f"{'1' * 64}  other.pt", f"{'2' * 64}  resnet50.ckpt"]
    words = [
        b"\n",
        b"\r\n",
        b" ",
        b"  ",
        b"/",
        b"*",
        b"\xff",
        b"\0",
        lines[0].encode(),
        b"net.pt",
        b"\n".join([b""] * 9),
    ]

    def read() -> None:
        before = lock.read_bytes()
        place.unlink(missing_ok=True)
        fetch("https://127.0.0.1:9/net.pt", place, [], mirror, lock=lock, retries=0)
        assert place.read_bytes() == CONTENT
        after = lock.read_bytes()
        assert after.startswith(before)
        assert f"{digits}  net.pt" in after.decode().splitlines()
        # Whatever was not there before is one line.
        assert after[len(before) :] in (b"", f"{digits}  net.pt\n".encode(), f"\n{digits}  net.pt\n".encode())
        # It pins: another file is refused, and the line is named.
        (mirror / "net.pt").write_bytes(CONTENT + b"!")
        place.unlink()
        try:
            with pytest.raises(InputError, match=r"remove line \d+ \(net\.pt\)"):
                fetch("https://127.0.0.1:9/net.pt", place, [], mirror, lock=lock, retries=0)
        finally:
            (mirror / "net.pt").write_bytes(CONTENT)

    def inputs():
        for index in range(MANY):
            chosen = draw.sample(lines, draw.randrange(1, 4))
            content = "\n".join(chosen).encode() + draw.choice([b"", b"\n"])
            lock.write_bytes(damage(content, words, draw))
            yield f"lock file {index}", read

    outcomes = count_outcomes("lock files", inputs())
    assert min(outcomes["read"], outcomes["refused"]) > MANY / 20


@pytest.mark.slow
def test_damaged_answers_are_recorded_only_as_checkpoints(tmp_path: Path) -> None:
    draw = random.Random(f"answers {TIMES}")
    mirror, place, lock = tmp_path / "mirror", tmp_path / "net.pt", tmp_path / "checksums.txt"
    mirror.mkdir()
    pages = [PAGE, b"\n\n" + PAGE.lower(), b'{"error": "rate limit"}', b"", b"Not found\n", b"\x1f\x8b\x08" + bytes(50)]
    pages += [b"\xef\xbb\xbf" + PAGE, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"]
    whole = [CONTENT[:3000], b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(300), b"\x02\0\0\0\0\0\0\0{}"]

    def read() -> None:
        lock.unlink(missing_ok=True)
        place.unlink(missing_ok=True)
        try:
            fetch("https://127.0.0.1:9/net.pt", place, [], mirror, lock=lock, retries=0)
        except InputError:
            assert not lock.exists()
            assert not place.exists()
            raise
        content = place.read_bytes()
        assert content.startswith((b"PK\x03\x04", b"\x80")) or content[8:9] == b"{"
        assert lock.read_text() == f"{hashlib.sha256(content).hexdigest()}  net.pt\n"

    def inputs():
        for index in range(MANY):
            content = draw.choice(pages + whole)
            if draw.random() < 0.8:
                content = damage(content, pages[:3] + whole, draw)
            (mirror / "net.pt").write_bytes(content)
            yield f"answer {index}", read

    outcomes = count_outcomes("answers", inputs())
    assert min(outcomes["read"], outcomes["refused"]) > MANY / 20
