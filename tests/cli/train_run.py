"""Reads what a run of wen train leaves, with readers that share nothing with the program: event
files by TensorBoard's format (TFRecord framing, CRC-32C, protocol buffers), log.csv, samples.jsonl,
report.html. usage: train_run.py OUT LAST_STEP"""
import csv
import glob
import html.parser
import json
import struct
import sys


def crc32c(data):
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        assert masked(data[at : at + 8]) == length_crc, (path, at)
        payload = data[at + 12 : at + 12 + length]
        (payload_crc,) = struct.unpack_from("<I", data, at + 12 + length)
        assert masked(payload) == payload_crc, (path, at)
        yield payload
        at += 16 + length


def fields(message):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value = message[at : at + size]
            assert len(value) == size
            at += size
        yield key >> 3, value


def one(message, number, default=None):
    return dict(fields(message)).get(number, default)


def read_events(out):
    scalars, texts = {}, {}
    for path in sorted(glob.glob(out + "/events.out.tfevents.*")):
        for i, event in enumerate(records(path)):
            step = one(event, 2, 0)
            assert one(event, 1) and struct.unpack("<d", one(event, 1))[0] > 1e9
            if i == 0:
                assert one(event, 3) == b"brain.Event:2"
            for number, value in fields(one(event, 5, b"")):
                assert number == 1
                tag = one(value, 1).decode()
                if one(value, 2) is not None:
                    where, content = scalars, struct.unpack("<f", one(value, 2))[0]
                else:
                    tensor = one(value, 8)
                    assert one(tensor, 1) == 7 and one(one(value, 9), 1) == b"\x0a\x04text"
                    where, content = texts, one(tensor, 8).decode()
                assert step not in where.setdefault(tag, {}), (tag, step, "twice")
                where[tag][step] = content
    return scalars, texts


class Page(html.parser.HTMLParser):
    """Every element that is opened is closed, and nothing is fetched."""

    empty = {"meta", "line", "path", "circle", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.n_figures, self.text = [], 0, ""

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "img", "iframe"), tag
        assert not any(name in ("src", "href", "onload") for name, _ in attributes), attributes
        assert not any("nan" in (value or "") or "inf" in (value or "")
                       for name, value in attributes if name in ("d", "cx", "cy", "x", "y")), attributes
        self.n_figures += tag == "figure"
        if tag not in self.empty:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.empty, tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data


out, last = sys.argv[1], int(sys.argv[2])
scalars, texts = read_events(out)
rows = list(csv.DictReader(open(out + "/log.csv")))
assert [int(row["step"]) for row in rows] == list(range(1, last + 1)), "steps of log.csv"
tags = {"loss": "train/loss", "bpb": "train/bits_per_byte", "lr": "train/learning_rate",
        "grad_norm": "train/grad_norm", "tokens_per_s": "speed/tokens_per_s",
        "heldout_loss": "heldout/loss", "accuracy_plain": "accuracy_plain/all"}
for column, tag in tags.items():
    written = {int(row["step"]): float(row[column]) for row in rows if row[column]}
    assert written.keys() == scalars[tag].keys() and written, (column, written.keys(), scalars[tag].keys())
    for step, value in written.items():
        assert abs(scalars[tag][step] - value) <= 2e-4 * abs(value) + 1e-9, (tag, step)
samples = [json.loads(line) for line in open(out + "/samples.jsonl", encoding="utf-8")]
keys = [(s["step"], s["prompt_i"], s["mode"]) for s in samples]
assert len(keys) == len(set(keys)) and {k[0] for k in keys} == set(range(4, last + 1, 4)) | {last}, keys
assert {k[1:] for k in keys} == {(0, "plain"), (1, "plain"), (1, "think")}, keys
assert texts.keys() == {"samples/0_plain", "samples/1_plain", "samples/1_think"}, texts.keys()
assert texts["samples/0_plain"].keys() == {k[0] for k in keys}
page = Page()
page.feed(open(out + "/report.html", encoding="utf-8").read())
page.close()
assert page.open == [], page.open
assert page.n_figures >= 9, page.n_figures
for needed in ("Once <upon>", "config.yaml", "schedule:", "held-out loss", "all problems", f"{last}steps"):
    assert needed in page.text, needed
newest = [s for s in samples if s["step"] == last]
for sample in newest:
    visible = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in sample["content"])
    assert visible in page.text, sample
