"""The Hugging Face hub on loopback, as far as data sets are pushed and pulled: in memory.

Each branch is a commit with its files. Uploads come within the commit ("regular"), none by LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class FakeHub:
    """What the hub holds: by data set and branch, the files."""

    url: str = ""
    sets: dict[str, dict[str, Files]] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Every request: "GET /api/..."."""

    def commit(self, name: str, branch: str, files: Files) -> str:
        """Make these the branch's files; returns the commit's hash."""
        self.sets.setdefault(name, {})[branch] = files
        sha = self.sha(name, files)
        self.commits[sha] = files
        return sha

    def sha(self, name: str, files: Files) -> str:
        return hashlib.sha1(repr((name, sorted(files.items()))).encode()).hexdigest()

    def files(self, name: str, revision: str) -> Files | None:
        branches = self.sets.get(name)
        if branches is None:
            return None
        return self.commits.get(revision, branches.get(revision))


@contextmanager
def hub() -> Iterator[FakeHub]:
    """A hub that listens until the block ends."""
    fake = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Request, fake))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Request(BaseHTTPRequestHandler):
    def __init__(self, fake: FakeHub, *given: Any) -> None:
        self.fake = fake
        super().__init__(*given)

    def do_GET(self) -> None:
        self._answered(body=True)

    def do_HEAD(self) -> None:
        self._answered(body=False)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._posted(self._path(), self.rfile.read(length))

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _path(self) -> str:
        path = urlsplit(self.path).path
        self.fake.asked.append(f"{self.command} {unquote(path)}")
        return path

    def _answered(self, *, body: bool) -> None:
        parts = [unquote(part) for part in self._path().split("/")[1:]]
        if parts[:2] == ["api", "datasets"]:
            name = "/".join(parts[2:4])
            self._told(name, parts[5] if len(parts) > 5 else "main")
        else:
            name, revision = "/".join(parts[1:3]), parts[4]
            self._file(name, revision, "/".join(parts[5:]), body=body)

    def _told(self, name: str, revision: str) -> None:
        files = self.fake.files(name, revision)
        if files is None:
            self._refused(name)
            return
        siblings = [{"rfilename": path} for path in files]
        self._json({"id": name, "sha": self.fake.sha(name, files), "siblings": siblings})

    def _file(self, name: str, revision: str, path: str, *, body: bool) -> None:
        content = (self.fake.files(name, revision) or {}).get(path)
        if content is None:
            self._refused(name)
            return
        etag = hashlib.sha1(content).hexdigest()
        head = {"ETag": f'"{etag}"', "X-Repo-Commit": revision}
        self._send(200, content, head, body=body)

    def _posted(self, path: str, body: bytes) -> None:
        parts = [unquote(part) for part in path.split("/")[1:]]
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name not in self.fake.sets:
                self.fake.commit(name, "main", {})
            self._json({"url": f"{self.fake.url}/datasets/{name}"})
            return
        name, what, branch = "/".join(parts[2:4]), parts[4], parts[5]
        if what == "branch":
            self.fake.commit(
                name, branch, dict(self.fake.sets[name].get(branch, self.fake.sets[name]["main"]))
            )
            self._json({})
        elif what == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            told = [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in names]
            self._json({"files": told})
        else:
            self._json(_committed(self.fake, name, branch, body))

    def _refused(self, name: str) -> None:
        code = "RevisionNotFound" if name in self.fake.sets else "RepoNotFound"
        self._send(404, b"{}", {"X-Error-Code": code, "X-Error-Message": "no such thing"})

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"content-type": "application/json"})

    def _send(
        self, status: int, content: bytes, head: dict[str, str], *, body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in {**head, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _committed(fake: FakeHub, name: str, branch: str, body: bytes) -> dict[str, Any]:
    files = dict(fake.sets[name][branch])
    for line in map(json.loads, body.splitlines()):
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "deletedFile":
            del files[value["path"]]
    sha = fake.commit(name, branch, files)
    url = f"{fake.url}/datasets/{name}/commit/{sha}"
    return {"commitUrl": url, "commitOid": sha, "success": True}
