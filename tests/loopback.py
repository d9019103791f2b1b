"""A web server on the loopback interface that answers well, slowly, badly or not at all."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from urllib.parse import unquote

# It begins like a checkpoint: of a file without a published hash this is all that can be compared.
CONTENT = b"PK\x03\x04" + bytes(range(256)) * 700
PAGE = b"<!DOCTYPE html><html><title>Too many requests</title></html>"


class Answers(BaseHTTPRequestHandler):
    """/good, /corrupt, /truncated, /absent, /busy (503 once), /cut (truncated once), /slow, /crawl (half a minute), /page (HTML), /empty, /status304, /away/ADDRESS (a redirection): each ends in the file's name."""

    def do_GET(self) -> None:  # noqa: D102
        way = self.path.split("/")[1]
        self.server.asked[self.path] += 1
        first = self.server.asked[self.path] == 1
        if way == "absent":
            return self.send_error(404)
        if way == "busy" and first:
            return self.send_error(503)
        if way == "away":
            self.send_response(302)
            self.send_header("Location", unquote(self.path.split("/")[2]))
            return self.end_headers()
        if way.startswith("status"):
            self.send_response(int(way.removeprefix("status")))
            return self.end_headers()
        if way in ("page", "empty"):
            content = PAGE if way == "page" else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return None
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if way == "corrupt":
            self.wfile.write(CONTENT[:-1] + b"!")
        elif way == "truncated" or (way == "cut" and first):
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
        elif way == "slow":
            for start in range(0, len(CONTENT), len(CONTENT) // 10):
                self.wfile.write(CONTENT[start : start + len(CONTENT) // 10])
                time.sleep(0.02)
        elif way == "crawl":
            # The client may be killed meanwhile.
            with suppress(ConnectionError):
                for start in range(0, len(CONTENT), len(CONTENT) // 300):
                    self.wfile.write(CONTENT[start : start + len(CONTENT) // 300])
                    self.wfile.flush()
                    time.sleep(0.1)
        else:
            self.wfile.write(CONTENT)
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(tls: SSLContext | None = None) -> Iterator[ThreadingHTTPServer]:
    """A server on the loopback interface with `url` and `asked` (how often each path was). tls: it speaks https."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.asked = Counter()
        server.url = f"http://127.0.0.1:{server.server_port}"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            server.url = server.url.replace("http", "https", 1)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
