"""What the server's test scripts share: start a server on a free port, ask it, read streams, TAP.
Standard library only."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build/release"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
WEN = os.path.join(ROOT, BUILD, "wen")
RANDOM = os.path.join(BUILD, "random.gguf")
EMPTY_STORE = os.path.join(ROOT, BUILD, "no-store")  # tests do not see the user's models


class Server:
    """wen serve on a free port of this machine; `with` ends it. Serves the model with random weights
    as "builtin" unless the first argument is a model."""

    def __init__(self, *arguments, wait=True, environment=None):
        if not arguments or arguments[0].startswith("-"):
            arguments = ("builtin=" + RANDOM, *arguments)
        self.process = subprocess.Popen(
            [WEN, "serve", "--port", "0", *arguments], stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "WEN_MODELS": EMPTY_STORE, **(environment or {})})
        self.log = []
        self.port = None
        while self.port is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("the server did not start: " + "".join(self.log))
            self.log.append(line)
            found = re.search(r"listening on https?://.*:(\d+)", line)
            if found:
                self.port = int(found.group(1))
        import threading
        self.reader = threading.Thread(
            target=lambda: [self.log.append(x) for x in self.process.stderr], daemon=True)
        self.reader.start()
        while wait and self._is_loading():
            time.sleep(0.02)

    def _is_loading(self):
        try:
            return self.get("/health").status == 503
        except ConnectionError:
            self.process.kill()
            self.reader.join(2)
            raise RuntimeError("the server ended: " + "".join(self.log)) from None

    patience = 60  # seconds that a client waits

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, method, path, body=None, headers=None, timeout=None):
        """One request on a connection of its own; the answer has .status, .headers, .text, .json"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=timeout or self.patience)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.text = answer.read().decode("utf-8")
        connection.close()
        try:
            answer.json = json.loads(answer.text)
        except ValueError:
            answer.json = None
        return answer

    def get(self, path, headers=None):
        return self.ask("GET", path, None, headers)

    def post(self, path, body, headers=None):
        return self.ask("POST", path, body, headers)

    def events(self, path, body, headers=None):
        """A stream's events: (name or None, data), data parsed unless it is [DONE]."""
        answer = self.post(path, dict(body, stream=True), headers)
        assert answer.status == 200, answer.text
        assert answer.getheader("content-type") == "text/event-stream", answer.getheaders()
        return parse_events(answer.text)

    def metric(self, name):
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(name)

    def raw(self, data, seconds=5):
        """Sends bytes, returns all that comes back within the time."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.settimeout(seconds)
            s.sendall(data)
            got = b""
            try:
                while True:
                    more = s.recv(65536)
                    if not more:
                        break
                    got += more
            except (socket.timeout, ConnectionError):
                pass
        return got


def parse_events(text):
    found = []
    for block in text.split("\n\n"):
        name, data = None, None
        for line in block.split("\n"):
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            else:
                assert line == "" or line.startswith(":") or line.startswith("id: "), line
        if data is not None:
            found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found


class Choice:
    """What the chunks of a chat stream add up to."""

    def __init__(self):
        self.content = self.reasoning = ""
        self.calls, self.logprobs, self.finish, self.roles = [], [], None, 0


def join_chat(events):
    """Adds up a chat stream; returns (choices, usage)."""
    assert events[-1][1] == "[DONE]", events[-1]
    choices, usage = {}, None
    first = events[0][1]
    for _, chunk in events[:-1]:
        assert chunk["object"] == "chat.completion.chunk"
        assert (chunk["id"], chunk["created"], chunk["model"]) == (
            first["id"], first["created"], first["model"])
        if not chunk["choices"]:
            usage = chunk["usage"]
        for c in chunk["choices"]:
            choice = choices.setdefault(c["index"], Choice())
            assert choice.finish is None, "nothing comes behind finish_reason"
            delta = c["delta"]
            choice.roles += "role" in delta
            choice.content += delta.get("content") or ""
            assert delta.get("reasoning") == delta.get("reasoning_content")
            choice.reasoning += delta.get("reasoning") or ""
            for call in delta.get("tool_calls", []):
                if call["index"] == len(choice.calls):
                    choice.calls.append({"id": call["id"], "name": call["function"]["name"],
                                         "arguments": ""})
                choice.calls[call["index"]]["arguments"] += call["function"].get("arguments", "")
            if c.get("logprobs"):
                choice.logprobs += c["logprobs"]["content"]
            choice.finish = c["finish_reason"]
    return [choices[i] for i in sorted(choices)], usage


# ---- TAP ---------------------------------------------------------------------------------------

_n = _failed = 0


def test(what):
    """@test("description") runs the function at once."""
    def run(function):
        global _n, _failed
        _n += 1
        started = time.time()
        try:
            function()
            print(f"ok {_n} - {what} # {time.time() - started:.1f} s", flush=True)
        except Exception as trouble:  # a test's own failure, whatever it is
            import traceback
            _failed += 1
            print(f"not ok {_n} - {what}", flush=True)
            for line in traceback.format_exc().splitlines()[-14:]:
                print("# " + line)
            print(f"# {type(trouble).__name__}", flush=True)
        return function
    return run


def finish():
    print(f"1..{_n}")
    sys.exit(1 if _failed else 0)


def same(a, b):
    assert a == b, f"\n{a!r}\n--- and\n{b!r}"


def temporary_folder():
    import atexit
    folder = tempfile.mkdtemp()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder
