"""A model hub on this machine: the list of a repository, and files by byte ranges, with the accidents of a network."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SMALL = 200   # bytes; larger files are listed with their sha256, as the hub does


class Hub:
    """`files` by "repository/path". `cuts`: bytes after which the next answers break off; `ranges`: whether one can
    begin in the middle; `gated`: repositories that ask for a token; `damage`: files that arrive changed."""

    def __init__(self, files):
        self.files, self.cuts, self.ranges = files, [], True
        self.gated, self.damage, self.asked, self.page = set(), set(), [], 1000

    def listing(self, repository, start):
        paths = [key for key in sorted(self.files) if key.startswith(f"{repository}/")]
        rows = [self._row(key, repository) for key in paths[start:start + self.page]]
        return rows, start + self.page if len(paths) > start + self.page else None

    def _row(self, key, repository):
        data = self.files[key]
        row = {"type": "file", "path": key.removeprefix(f"{repository}/"), "size": len(data),
               "oid": hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()}
        if len(data) > SMALL:
            row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return row


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            hub.asked.append((self.path, start))
            tree = re.match(r"/api/models/([^/]+/[^/]+)/tree/main\?recursive=true(?:&start=(\d+))?", self.path)
            file = re.match(r"/([^/]+/[^/]+)/resolve/main/(.+)", self.path)
            repository = (tree or file)[1]
            if file and repository in hub.gated and self.headers.get("Authorization") != "Bearer good":
                self.send_error(401 if "Authorization" not in self.headers else 403)
            elif tree:
                self._list(repository, int(tree[2] or 0))
            elif f"{repository}/{file[2]}" in hub.files:
                self._give(f"{repository}/{file[2]}", start)
            else:
                self.send_error(404)

        def _list(self, repository, start):
            rows, following = hub.listing(repository, start)
            self.send_response(200)
            if following:
                host = f"http://{self.headers['Host']}"
                link = f"{host}/api/models/{repository}/tree/main?recursive=true&start={following}"
                self.send_header("Link", f'<{link}>; rel="next"')
            self.end_headers()
            self.wfile.write(json.dumps(rows).encode())

        def _give(self, key, start):
            data = hub.files[key]
            if key in hub.damage:
                data = bytes([data[0] ^ 1]) + data[1:]
            start = start if hub.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if hub.cuts:
                data = data[:start + hub.cuts.pop(0)]
            self.wfile.write(data[start:])

    return Handler


@contextmanager
def served(hub):
    """The address of a hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
