"""A web server on the loopback interface that answers well, slowly, badly or not at all."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 700


class Answers(BaseHTTPRequestHandler):
    """/good, /corrupt, /truncated, /absent, /busy (503 once), /cut (truncated once), /slow, /crawl (half a minute): each ends in the file's name."""

    def do_GET(self) -> None:  # noqa: D102
        way = self.path.split("/")[1]
        self.server.asked[self.path] += 1
        first = self.server.asked[self.path] == 1
        if way == "absent":
            return self.send_error(404)
        if way == "busy" and first:
            return self.send_error(503)
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
def serving() -> Iterator[ThreadingHTTPServer]:
    """A server on the loopback interface with `url` and `asked` (how often each path was)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.asked = Counter()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
