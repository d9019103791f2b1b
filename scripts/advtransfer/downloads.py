"""Fetching files: from a mirror or their URL, verified, and only ever whole."""

import fcntl
import gzip
import hashlib
import ipaddress
import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from advtransfer.artefacts import whole_file
from advtransfer.errors import InputError

if TYPE_CHECKING:
    from requests import Response

# Seconds to wait for a connection, and for the next bytes of an answer.
TIMEOUT_SECONDS = (15, 60)
# Hexadecimal digits of each kind of hash. A git blob id is the SHA-1 of "blob <size>", a zero byte and the content.
HASH_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "git": 40}
# A line of a lock file: the SHA-256, two spaces, the file's name.
LOCK_LINE = re.compile(r"([0-9a-f]{64})  (\S(?:.*\S)?)")
# Endings of checkpoints, whose first bytes are known.
CHECKPOINT_ENDINGS = (".pt", ".pth", ".ckpt", ".tar", ".safetensors")

# Says what is wrong with a file; None if nothing is.
Check = Callable[[Path], str | None]


class _NoFileError(Exception):
    """A place does not hold the file, and asking again would not change that."""


def fetch(
    url: str | Sequence[str],
    destination: str | Path,
    known_hash: str | Sequence[str],
    mirror: str | Path | Sequence[str | Path] | None = None,
    mirror_paths: Sequence[str] | None = None,
    retries: int = 2,
    lock: str | Path | None = None,
) -> Path:
    """Put a file at `destination`, unless it is there already with the right content. Returns `destination`.

    The mirrors are asked in order, then the URLs; the first answer with the right hash wins. A file of another content
    at `destination` is removed first, so that what lies there afterwards is right or absent.

    url: one address, or several of the same file.
    known_hash: "sha256:...", "sha1:...", "md5:..." or "git:..." (a git blob id); one of several is enough, and of a
        SHA-256 its first 8 digits or more (file names such as resnet50-0676ba61.pth hold them). An empty list: no hash
        is published. Then plain http is refused unless `lock` has a hash (anyone on the way could change the file; this
        machine's own addresses are no way), what arrives must not be a web page or another stand-in, and its SHA-256 is
        printed. With "uncompressed-" before it (as in "uncompressed-md5:...") it is the hash of what a gzip file holds,
        since packing the same content again gives other bytes.
    mirror: a URL prefix, which is asked for <mirror>/<name>; or a local folder, where <folder>/<name>, that name
        anywhere below, and <name>.gz (unpacked) are tried, and which is read and never written. Several are allowed.
    mirror_paths: the names to ask a mirror for; without it, the file name in the first URL.
    lock: a file of lines "<SHA-256>  <name>" (as sha256sum writes them), where the first download of a file that no whole
        SHA-256 is published of is recorded, and which every later one must match.
    retries: how often a failed transfer is repeated, after 1, 2, ... seconds. A refusal such as 404 is final.

    Raises InputError, with one finding for each place, where no place has the file.
    """
    urls = [url] if isinstance(url, str) else list(url)
    hashes = [_parse_hash(known_hash)] if isinstance(known_hash, str) else [_parse_hash(text) for text in known_hash]
    mirrors = [mirror] if isinstance(mirror, str | Path) else list(mirror or [])
    names = mirror_paths or [_file_name(urls[0])]
    destination = Path(destination)
    line, recorded = _entries(lock).get(destination.name, (0, None)) if lock else (0, None)
    pinned = bool(hashes or recorded)

    source = f"recorded in {lock}, line {line}"

    def check(path: Path) -> str | None:
        finding = _finding(path, hashes) or _finding(path, [("sha256", recorded)] if recorded else [], f" {source}")
        if finding is None and not hashes:
            finding = _finding_unpinned(path, destination.name)
            if finding and recorded:
                finding += f", and has the hash {source}"
        return finding

    if destination.is_file():
        if check(destination) is None:
            _record(lock, destination, hashes)
            return destination
        destination.unlink()

    # (where, how to get it) in the order of asking.
    places: list[tuple[str, Callable[[Path], None]]] = []
    for each in mirrors:
        if _is_url(str(each)):
            addresses = [f"{str(each).rstrip('/')}/{name}" for name in names]
            places += [(address, partial(_transfer, address, check, pinned)) for address in addresses]
        else:
            places.append((f"folder {each}", partial(_copy, Path(each), names, check)))
    places += [(address, partial(_transfer, address, check, pinned)) for address in urls]

    findings = []
    for where, get in places:
        try:
            _get_with_retries(where, get, destination, retries)
        except (_NoFileError, OSError, ValueError) as error:
            findings.append(f"{where}: {_one_line(error)}")
        else:
            _record(lock, destination, hashes)
            return destination
    remedy = "Check the connection, or set 'mirror' in config.yaml to a folder that holds the file."
    if any(f"has the hash {source}" in finding for finding in findings):
        remedy = f"A stand-in was recorded: remove line {line} ({destination.name}) from {lock}."
    elif any(source in finding for finding in findings):
        remedy = f"If you trust the new file, remove line {line} ({destination.name}) from {lock}."
    raise InputError(f"{destination.name}: could not be fetched from {urls[0]} ({'; '.join(findings)}). {remedy}")


def _get_with_retries(where: str, get: Callable[[Path], None], destination: Path, retries: int) -> None:
    for attempt in range(1, retries + 2):
        try:
            with whole_file(destination) as part:
                get(part)
            return
        except (OSError, ValueError) as error:
            # What requests raises is an OSError; a wrong hash is a ValueError, and may be a damaged transfer.
            if attempt > retries:
                raise
            print(f"{where}: {_one_line(error)}; trying again in {attempt} s", file=sys.stderr, flush=True)
            time.sleep(attempt)


def _transfer(url: str, check: Check, pinned: bool, part: Path) -> None:
    """Download into `part` and verify. Raises _NoFileError, OSError (network) or ValueError (content).

    pinned: a hash of the file is known.
    """
    import pooch
    from requests import HTTPError
    from tqdm import tqdm

    if not _is_url(url):
        raise _NoFileError("not an http or https address")
    if not pinned:
        _refuse_open_way(url)
    # In a log file every refresh is one more line.
    interval = 0.1 if sys.stderr.isatty() else 10
    # pooch puts the announced length in place of the 1; a bar without any total cannot be asked whether it is there.
    bar = {"desc": _file_name(url), "unit": "B", "unit_scale": True, "mininterval": interval, "delay": 1}
    with tqdm(total=1, **bar) as progress:
        download = pooch.HTTPDownloader(
            progressbar=progress,
            chunk_size=1 << 20,
            timeout=TIMEOUT_SECONDS,
            # The file as it is stored: a server that packs text on the way hides its length, and a truncation with it.
            headers={"Accept-Encoding": "identity"},
            hooks={"response": partial(_check_answer, pinned)},
        )
        try:
            download(url, part, None)
        except HTTPError as error:
            status = error.response.status_code
            if status < 500 and status not in (408, 425, 429):
                raise _NoFileError(f"HTTP status {status}") from error
            raise OSError(f"HTTP status {status}") from error
    finding = check(part)
    if finding is not None:
        raise ValueError(finding)


def _check_answer(pinned: bool, response: "Response", *_: object, **__: object) -> None:
    """Called with the head of every answer, redirections included. Raises _NoFileError."""
    if response.is_redirect:
        if not pinned:
            _refuse_open_way(urljoin(response.url, response.headers["location"]))
    elif response.ok and response.status_code != 200:
        # 204, 206 and 304 are no errors, and no file either.
        raise _NoFileError(f"HTTP status {response.status_code}")


def _refuse_open_way(url: str) -> None:
    """Raise _NoFileError where a file from an address may have been changed on its way here."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = False
    if parts.scheme.lower() == "http" and not own:
        raise _NoFileError(f"no hash is known, and {url} is plain http; give an https address, or the file's 'hash'")


def _copy(folder: Path, names: Sequence[str], check: Check, part: Path) -> None:
    """Copy the file out of a folder into `part`, unpacked if only a packed one is there. Raises _NoFileError."""
    if not folder.is_dir():
        raise _NoFileError("no such folder")
    # The same file name can belong to several data sets, so every candidate is compared by its content.
    findings = []
    for packed in (False, True):
        tried: set[Path] = set()
        for name in (f"{name}.gz" if packed else name for name in names):
            for candidate in (folder / name, *sorted(folder.rglob(Path(name).name))):
                if candidate in tried or not candidate.is_file():
                    continue
                tried.add(candidate)
                try:
                    with gzip.open(candidate) if packed else open(candidate, "rb") as source, open(part, "wb") as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
                    finding = check(part)
                except (OSError, EOFError, zlib.error) as error:
                    finding = f"not readable ({_one_line(error)})"
                if finding is None:
                    return
                findings.append(f"{os.path.relpath(candidate, folder)} {finding}")
    raise _NoFileError(", ".join(findings) or f"holds no file {Path(names[0]).name}")


def _file_name(url: str) -> str:
    try:
        return Path(urlsplit(url).path).name
    except ValueError as error:
        raise InputError(f"url '{url}': not an address ({_one_line(error)}). Correct it.") from None


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _parse_hash(text: str) -> tuple[str, str]:
    """Split "md5:0123..." into its kind and its digits."""
    kind, _, digits = text.strip().lower().partition(":")
    length = HASH_DIGITS.get(kind.removeprefix("uncompressed-"), 0)
    shortest = 8 if kind == "sha256" else max(length, 1)
    if not shortest <= len(digits) <= length or not set(digits) <= set("0123456789abcdef"):
        raise InputError(
            f"hash '{text}': not a hash in a known form. Write it as one of "
            f"{', '.join(f'{name}:<{count} hexadecimal digits>' for name, count in HASH_DIGITS.items())}."
        )
    return kind, digits


def _finding(path: Path, hashes: Sequence[tuple[str, str]], source: str = "") -> str | None:
    """None if the file has one of the hashes, or there are none; else what it has instead. source: where they are from."""
    for kind, digits in hashes:
        found = file_hash(path, kind)
        if found is not None and found.startswith(digits):
            return None
    if not hashes:
        return None
    # The first is the file's own; what follows is a substitute for it.
    kind, digits = hashes[0]
    return f"has {kind} {file_hash(path, kind)}, not {digits}{source} ({path.stat().st_size} bytes)"


def stand_in(path: Path) -> tuple[str, str] | None:
    """What a file is that stands where another should, and the remedy. None if it may be the other itself."""
    with open(path, "rb") as file:
        start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        return "an empty file", "Get it again."
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<!--", b"<?xml", b"<error")):
        return "a web page, not the file", "Download the file itself."
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file", "Fetch the file itself with git lfs pull."
    return None


def _finding_unpinned(path: Path, name: str) -> str | None:
    """What is wrong with a file that no published hash is known of; None if it may be what its name says."""
    found = stand_in(path)
    if found is not None:
        return f"is {found[0]}"
    if name.endswith(CHECKPOINT_ENDINGS):
        with open(path, "rb") as file:
            start = file.read(9)
        # A zip archive, a pickle (protocol 2 and above), or the length of a JSON header and its first byte.
        header = int.from_bytes(start[:8], "little")
        if not start.startswith((b"PK\x03\x04", b"\x80")) and (start[8:] != b"{" or header > path.stat().st_size - 8):
            return f"begins like no checkpoint: {start!r}"
    return None


def _entries(lock: str | Path) -> dict[str, tuple[int, str]]:
    """The lines of a lock file: {file name: (number of the line, SHA-256)}; {} without one.

    Raises InputError where a line has another form, or two of them contradict each other.
    """
    lock = Path(lock)
    try:
        text = lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{lock}: not readable as a list of hashes ({_one_line(error)}). Correct or remove it."
        ) from None
    entries: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = LOCK_LINE.fullmatch(line.removesuffix("\r"))
        # A path, or a second entry behind the first, would be taken for a name that no file has, and pin nothing.
        if not match or "/" in match[2] or LOCK_LINE.search(match[2]):
            raise InputError(f"{lock}: line {number} is not '<SHA-256>  <file name>'. Correct or remove it.")
        digits, name = match.groups()
        if entries.get(name, (0, digits))[1] != digits:
            raise InputError(
                f"{lock}: lines {entries[name][0]} and {number} have different hashes of {name}. Remove one of them."
            )
        entries.setdefault(name, (number, digits))
    return entries


def _record(lock: str | Path | None, path: Path, hashes: Sequence[tuple[str, str]]) -> None:
    """Say what is known of a file that has arrived, and write its SHA-256 into the lock file if nothing else pins it.

    Raises InputError where the lock file has another hash by now, or cannot be written.
    """
    if any(kind.endswith("sha256") and len(digits) == HASH_DIGITS["sha256"] for kind, digits in hashes):
        return
    digits = file_hash(path, "sha256")
    published = "its published hash is right" if hashes else "no hash is published to compare with"
    if lock is None:
        if not hashes:
            print(f"{path}: {published}; its SHA-256 is {digits}", file=sys.stderr)
        return
    try:
        Path(lock).parent.mkdir(parents=True, exist_ok=True)
        with open(lock, "ab+") as file:
            # Several downloads may end at the same time.
            fcntl.flock(file, fcntl.LOCK_EX)
            line, recorded = _entries(lock).get(path.name, (0, None))
            if recorded is None:
                # An editor may have left the last line without its end.
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    if file.read() != b"\n":
                        file.write(b"\n")
                file.write(f"{digits}  {path.name}\n".encode())
    except OSError as error:
        raise InputError(
            f"{lock}: cannot be written ({_one_line(error)}), so {path.name} would not be compared the next time. "
            "Make it writable."
        ) from None
    if recorded is None:
        print(f"{path}: {published}; its SHA-256 {digits} is recorded in {lock}", file=sys.stderr)
    elif recorded == digits:
        print(f"{path}: {published}; it matches the SHA-256 recorded in {lock}", file=sys.stderr)
    else:
        raise InputError(
            f"{path}: has sha256 {digits}, not {recorded} recorded in {lock}, line {line}. "
            f"If you trust the new file, remove line {line} from it."
        )


def file_hash(path: Path, kind: str) -> str | None:
    """Hexadecimal hash of a file's content. kind: md5, sha1, sha256 or git, "uncompressed-" before it for gzip content.

    None if the content of a file that is not whole gzip is asked for.
    """
    kind, packed = kind.removeprefix("uncompressed-"), kind.startswith("uncompressed-")
    digest = hashlib.new("sha1" if kind == "git" else kind, usedforsecurity=False)
    if kind == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None
    return digest.hexdigest()
