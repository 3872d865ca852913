"""Both hubs on this machine, for tests: an HTTPS server that speaks the parts of their interfaces that
`wen pull` uses, with every way of failing that a test asks for.

    hubs = Hubs(folder)                  certificate made with openssl; two ports: the hub, and a CDN
    hubs.add("Qwen/X", {"a.json": b"..", "model.safetensors": b".."}, gated=False)
    hubs.faults...                       see Faults
    hubs.env()                           what a client needs to find them
"""
import hashlib
import http.server
import json
import os
import re
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

TOKEN = "hf_secret"


class Faults:
    """What goes wrong, for the next answers with a file's contents. Counters go down by one a fault."""

    def __init__(self):
        self.cut_after = []  # one entry an answer: bytes, then the connection is cut; None: whole
        self.cut_random = None  # random.Random: many answers are cut somewhere
        self.ignores_ranges = False  # 200 and the whole file, whatever was asked
        self.corrupt = 0  # answers with a byte flipped
        self.short = 0  # Content-Length and Content-Range of a file that is a byte shorter
        self.long = 0  # more bytes than asked for
        self.statuses = []  # one an answer, in place of contents
        self.slow = 0.0  # seconds between 16 KiB
        self.stall_first = 0  # so many answers send a little and then nothing more
        self.redirect = "cdn"  # "cdn": another port; "foreign": another host name; "relative"; None
        self.refuse_cdn_after = None  # addresses at the CDN are good for so many requests
        self.before_contents = None  # called with (path, headers)


class Hubs:
    def __init__(self, folder):
        self.repos = {}
        self.faults = Faults()
        self.lock = threading.Lock()
        self.requests = []  # (server, path, range, token seen)
        self.bytes_sent = 0
        self.cdn_uses = {}
        self.cert = os.path.join(folder, "cert.pem")
        key = os.path.join(folder, "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-keyout", key, "-out", self.cert, "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.cert, key)
        self.hub = self._serve("hub")
        self.cdn = self._serve("cdn")

    def _serve(self, kind):
        server = Server(("127.0.0.1", 0), Handler)
        server.hubs, server.kind = self, kind
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def port(self, kind):
        return (self.hub if kind == "hub" else self.cdn).server_address[1]

    def add(self, repo, files, gated=False, private=False):
        commit = hashlib.sha1(repr(sorted((k, hashlib.sha1(v).hexdigest()) for k, v in files.items())).encode()).hexdigest()
        self.repos[repo] = {"files": dict(files), "gated": gated, "private": private, "commit": commit}

    def env(self):
        return {"HF_ENDPOINT": f"https://localhost:{self.port('hub')}",
                "MODELSCOPE_DOMAIN": f"localhost:{self.port('hub')}", "CURL_CA_BUNDLE": self.cert}

    def reset(self):
        with self.lock:
            self.faults = Faults()
            self.requests = []
            self.bytes_sent = 0
            self.cdn_uses = {}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        request.settimeout(30)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.hubs.tls.wrap_socket(request, server_side=True) as stream:
                self.RequestHandlerClass(stream, client_address, self)
        except (OSError, ssl.SSLError):
            pass  # clients are killed on purpose

    def handle_error(self, request, client_address):
        pass


class Cut(Exception):
    """The connection ends here: `is_hard` loses what is still on its way."""

    def __init__(self, is_hard=False):
        self.is_hard = is_hard


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value):
        self.answer(200, json.dumps(value).encode(), [("Content-Type", "application/json")])

    def do_GET(self):
        hubs, self.kind = self.server.hubs, self.server.kind
        path = urllib.parse.urlsplit(self.path).path
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self.token = self.headers.get("Authorization", "") + self.headers.get("Cookie", "")
        with hubs.lock:
            hubs.requests.append((self.headers.get("Host"), self.path, self.headers.get("Range"), self.token))
        try:
            if self.kind == "cdn":
                return self.from_cdn(path)
            for pattern, what in ((r"/api/models/([^/]+/[^/]+)/revision/main", self.hf_list),
                                  (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.hf_file),
                                  (r"/api/resolve-cache/([^/]+/[^/]+)/(.+)", self.hf_relative),
                                  (r"/api/v1/models/([^/]+/[^/]+)/repo/files", self.ms_list),
                                  (r"/api/v1/models/([^/]+/[^/]+)/repo", self.ms_file)):
                match = re.fullmatch(pattern, path)
                if match:
                    return what(query, *[urllib.parse.unquote(g) for g in match.groups()])
            self.answer(404)
        except Cut as cut:
            self.close_connection = True
            try:
                if cut.is_hard:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.connection.close()
                else:
                    self.connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def repo(self, name):
        """None, and an answer was sent, when it is not there for this client."""
        repo = self.server.hubs.repos.get(name)
        if repo is None or (repo["private"] and TOKEN not in self.token):
            self.answer(404 if TOKEN in self.token else 401, b"", [("X-Error-Code", "RepoNotFound")])
            return None
        return repo

    def hf_list(self, query, name):
        repo = self.repo(name)
        if repo is None:
            return
        siblings = []
        for path, data in repo["files"].items():
            item = {"rfilename": path, "size": len(data)}
            if path.endswith((".safetensors", ".gguf")):
                item["lfs"] = {"sha256": repo.get("listed", {}).get(path, hashlib.sha256(data).hexdigest()),
                               "size": len(data), "pointerSize": 135}
            item["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            siblings.append(item)
        siblings += repo.get("more", [])
        self.answer_json({"id": name, "sha": repo["commit"], "siblings": siblings})

    def ms_list(self, query, name):
        repo = self.server.hubs.repos.get(name)
        if repo is None or (repo["private"] and TOKEN not in self.token):
            return self.answer(404, json.dumps({"Code": 10010205001, "Success": False}).encode())
        files = [{"Path": p, "Name": p.split("/")[-1], "Size": len(d), "Type": "blob",
                  "Sha256": hashlib.sha256(d).hexdigest()} for p, d in repo["files"].items()]
        files.append({"Path": "assets", "Name": "assets", "Size": 0, "Type": "tree", "Sha256": ""})
        self.answer_json({"Code": 200, "Success": True, "Data": {"Files": files}})

    def hf_file(self, query, name, revision, path):
        repo = self.repo(name)
        if repo is None:
            return
        if repo["gated"] and TOKEN not in self.token:
            return self.answer(401, b"", [("X-Error-Code", "GatedRepo")])
        if path not in repo["files"] or revision != repo["commit"]:
            return self.answer(404, b"", [("X-Error-Code", "EntryNotFound")])
        to = self.server.hubs.faults.redirect
        if to == "relative":
            return self.answer(307, b"", [("Location", f"/api/resolve-cache/{name}/{path}")])
        if to:
            host = "127.0.0.1" if to == "foreign" else "localhost"
            return self.answer(302, b"", [
                ("Location", f"https://{host}:{self.server.hubs.port('cdn')}/{name}/{urllib.parse.quote(path)}?sig=x")])
        self.contents(repo, path)

    def hf_relative(self, query, name, path):
        repo = self.repo(name)
        if repo is not None:
            self.contents(repo, path)

    def ms_file(self, query, name):
        repo = self.repo(name)
        path = query.get("FilePath", [""])[0]
        if repo is None or path not in repo["files"] or query.get("Revision") != ["master"]:
            return repo is not None and self.answer(404)
        if path.endswith(".gguf"):
            return self.answer(302, b"", [
                ("Location", f"https://localhost:{self.server.hubs.port('cdn')}/{name}/{urllib.parse.quote(path)}")])
        self.contents(repo, path)

    def from_cdn(self, path):
        hubs = self.server.hubs
        owner, name, path = urllib.parse.unquote(path).lstrip("/").split("/", 2)
        with hubs.lock:
            uses = hubs.cdn_uses[path] = hubs.cdn_uses.get(path, 0) + 1
            limit = hubs.faults.refuse_cdn_after
            if limit is not None and uses > limit:
                hubs.cdn_uses[path] = 0
                return self.answer(403, b"<Error>expired</Error>")
        self.contents(hubs.repos[f"{owner}/{name}"], path)

    def contents(self, repo, path):
        hubs, faults = self.server.hubs, self.server.hubs.faults
        data = repo["files"][path]
        with hubs.lock:
            cut = faults.cut_after.pop(0) if faults.cut_after else None
            status = faults.statuses.pop(0) if faults.statuses else None
            corrupt, faults.corrupt = faults.corrupt > 0, max(0, faults.corrupt - 1)
            short, faults.short = faults.short > 0, max(0, faults.short - 1)
            longer, faults.long = faults.long > 0, max(0, faults.long - 1)
            stall, faults.stall_first = faults.stall_first > 0, max(0, faults.stall_first - 1)
        if faults.before_contents:
            faults.before_contents(path, self.headers)
            data = repo["files"][path]
        if status:
            return self.answer(status, b"no", [("Retry-After", "0")])
        total = len(data) - (1 if short else 0)
        begin, end = 0, total
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not faults.ignores_ranges:
            begin = int(asked[1])
            end = min(total, int(asked[2]) + 1 if asked[2] else total)
            if begin >= total:
                return self.answer(416, b"", [("Content-Range", f"bytes */{total}")])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{total}")
        else:
            self.send_response(200)
        body = bytearray(data[begin:end])
        if corrupt and body:
            body[len(body) // 2] ^= 1
        if longer:
            body += b"more"
        if cut is None and faults.cut_random and faults.cut_random.random() < 0.5:
            cut = faults.cut_random.randrange(len(body) + 1)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"%s"' % hashlib.md5(data).hexdigest())
        self.end_headers()
        self.send(body, cut, 1000 if stall else None, faults)

    def send(self, body, cut, stall, faults):
        for at in range(0, len(body), 16384):
            part = body[at:at + 16384]
            if stall is not None:
                self.wfile.write(part[:stall])
                self.wfile.flush()
                time.sleep(30)
                raise Cut
            if cut is not None and at + len(part) > cut:
                self.wfile.write(part[:cut - at])
                self.wfile.flush()
                raise Cut(faults.cut_random and faults.cut_random.random() < 0.5)
            if faults.slow:
                time.sleep(faults.slow)
            self.wfile.write(part)
            with self.server.hubs.lock:
                self.server.hubs.bytes_sent += len(part)
