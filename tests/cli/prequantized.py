"""Quantized folders of every layout that wen reads, against the values that they stand for. TAP.

usage: prequantized.py WEN FOLDER      (FOLDER/base: a small model in F32)

The layouts are AutoGPTQ's, AutoAWQ's and MLX's, and that of the official FP8 releases, as
docs/formats.md draws them; codes and scales are drawn at random, values are computed in double.
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys

wen, folder = sys.argv[1:]
WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F8_E4M3": 1}
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
n_tests = 0


def result(ok, what, detail=""):
    global n_tests
    n_tests += 1
    print(f"{'ok' if ok else 'not ok'} {n_tests} - {what}")
    if not ok:
        print("\n".join("# " + line for line in detail.splitlines()[-10:]))


def read(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])])
            for name, t in header.items()}


def write(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def words(rows, kind="I32"):
    flat = [word & 0xffffffff for row in rows for word in row]
    return (kind, [len(rows), len(rows[0])], struct.pack(f"<{len(flat)}I", *flat))


def halves(rows):
    flat = [x for row in rows for x in row]
    return ("F16", [len(rows), len(rows[0])], struct.pack(f"<{len(flat)}e", *flat))


def half(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


def bf16(x):
    return struct.unpack("<f", b"\0\0" + struct.pack("<f", x)[2:])[0]


def bf16s(rows):
    return ("BF16", [len(rows), len(rows[0])],
            b"".join(struct.pack("<f", x)[2:] for row in rows for x in row))


def e4m3(code):
    exponent, mantissa = code >> 3 & 15, code & 7
    size = (8 + mantissa) * 2.0 ** (exponent - 10) if exponent else mantissa * 2.0 ** -9
    return -size if code & 128 else size


def fp8(stem, n, k):
    codes = [[random.choice([c for c in range(256) if c & 127 < 100]) for _ in range(k)]
             for _ in range(n)]
    scales = [[bf16(random.uniform(0.002, 0.004)) for _ in range((k + 127) // 128)]
              for _ in range((n + 127) // 128)]
    values = [[e4m3(codes[r][c]) * scales[r // 128][c // 128] for c in range(k)] for r in range(n)]
    return {f"{stem}.weight": ("F8_E4M3", [n, k], b"".join(bytes(row) for row in codes)),
            f"{stem}.weight_scale_inv": bf16s(scales)}, values


def lines(n, k, group, bits):
    """Codes [n][k], scales and whole zeros [groups][n]."""
    groups = k // group
    codes = [[random.randrange(1 << bits) for _ in range(k)] for _ in range(n)]
    step = 0.2 / (1 << bits)
    scales = [[half(random.uniform(0.5, 1) * step) for _ in range(n)] for _ in range(groups)]
    zeros = [[(1 << bits - 1) - random.randrange(3) for _ in range(n)] for _ in range(groups)]
    values = [[scales[c // group][r] * (codes[r][c] - zeros[c // group][r]) for c in range(k)]
              for r in range(n)]
    return codes, scales, zeros, values


def gptq(bits, group, offset):
    def make(stem, n, k):
        size = k if group < 0 else group
        codes, scales, zeros, values = lines(n, k, size, bits)
        per = 32 // bits
        packed = [[sum(codes[r][c * per + i] << bits * i for i in range(per)) for r in range(n)]
                  for c in range(k // per)]
        stored = [[sum(row[c * per + i] - offset << bits * i for i in range(per))
                   for c in range(n // per)] for row in zeros]
        order = struct.pack(f"<{k}i", *(c // size for c in range(k)))
        return {f"{stem}.qweight": words(packed), f"{stem}.qzeros": words(stored),
                f"{stem}.scales": halves(scales), f"{stem}.g_idx": ("I32", [k], order)}, values
    return make


def awq(group):
    def make(stem, n, k):
        codes, scales, zeros, values = lines(n, k, group, 4)
        packed = [[sum(codes[8 * w + AWQ_ORDER[p]][c] << 4 * p for p in range(8))
                   for w in range(n // 8)] for c in range(k)]
        stored = [[sum(row[8 * w + AWQ_ORDER[p]] << 4 * p for p in range(8))
                   for w in range(n // 8)] for row in zeros]
        return {f"{stem}.qweight": words(packed), f"{stem}.qzeros": words(stored),
                f"{stem}.scales": halves(scales)}, values
    return make


def mlx(bits, group):
    def make(stem, n, k):
        codes = [[random.randrange(1 << bits) for _ in range(k)] for _ in range(n)]
        step = 0.2 / (1 << bits)
        scales = [[bf16(random.uniform(0.5, 1) * step) for _ in range(k // group)]
                  for _ in range(n)]
        biases = [[bf16(-random.uniform(0.4, 0.6) * s * (1 << bits)) for s in row]
                  for row in scales]
        packed = []
        for row in codes:
            stream = sum(code << bits * i for i, code in enumerate(row))
            packed.append([stream >> 32 * i & 0xffffffff for i in range(k * bits // 32)])
        values = [[scales[r][c // group] * codes[r][c] + biases[r][c // group] for c in range(k)]
                  for r in range(n)]
        return {f"{stem}.weight": words(packed, "U32"), f"{stem}.scales": bf16s(scales),
                f"{stem}.biases": bf16s(biases)}, values
    return make


def build(name, make, config_key, config, with_embedding=False):
    """A folder with the layers' matrices quantized, and the same in F32."""
    random.seed(name)
    base = read(f"{folder}/base/model.safetensors")
    tensors, plain = {}, {}
    for tensor, (dtype, shape, data) in base.items():
        if tensor.endswith("_proj.weight") or (with_embedding and "embed" in tensor):
            parts, values = make(tensor[:-len(".weight")], *shape)
            tensors.update(parts)
            flat = [x for row in values for x in row]
            plain[tensor] = (dtype, shape, struct.pack(f"<{len(flat)}f", *flat))
        else:
            tensors[tensor] = plain[tensor] = (dtype, shape, data)
    for kind, content in (("", tensors), ("-plain", plain)):
        out = f"{folder}/{name}{kind}"
        shutil.copytree(f"{folder}/base", out)
        write(f"{out}/model.safetensors", content)
    edit_config(f"{folder}/{name}", lambda c: c.update({config_key: config}))
    return tensors


def edit_config(model, change):
    with open(f"{model}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(f"{model}/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)


def run(*arguments):
    return subprocess.run([wen, *arguments], capture_output=True, text=True, check=False)


def score(model, ids="ids.json", threads="1"):
    return run("score", model, "--ids", f"{folder}/{ids}", "--top", "40", "--threads", threads)


def logits(model):
    out = score(model)
    if out.returncode:
        return out.stderr
    return [{t["id"]: t["logit"] for t in json.loads(line)["top"]}
            for line in out.stdout.splitlines()]


def check(name, *arguments, **options):
    build(name, *arguments, **options)
    model = f"{folder}/{name}"
    out = run("quantize", model, f"{folder}/{name}-out", "--type", "F32", "--threads", "1")
    detail = out.stderr
    if out.returncode == 0:
        got, want = read(f"{folder}/{name}-out/model.safetensors"), read(
            f"{model}-plain/model.safetensors")
        differs = [t for t in want if got.get(t) != want[t]]
        detail = f"{differs[:3]} of {len(want)} differ"
    result(out.returncode == 0 and not differs, f"{name}: every weight is exact", detail)
    ours, plain = logits(model), logits(f"{model}-plain")
    if isinstance(ours, str) or isinstance(plain, str):
        result(False, f"{name}: runs", str(ours)[:300] + str(plain)[:300])
        return
    off = [abs(a[i] - b[i]) for a, b in zip(ours, plain) for i in a if i in b]
    size = [abs(x) for b in plain for x in b.values()]
    ratio = sum(off) / len(off) / (sum(size) / len(size))
    result(0 < ratio < 0.02, f"{name}: logits", f"mean difference {ratio:.4f} of the mean logit")
    whole, two, few = score(model).stdout, score(model, threads="2").stdout, score(
        model, "few.json").stdout
    shared = few.splitlines()
    same = whole == two and len(shared) == 7 and whole.splitlines()[:7] == shared
    result(same, f"{name}: neither threads nor the rows that come along show", few)


def fails(what, name, part, change_tensors=None, change_config=None):
    """A copy of a folder with one fault: one line that names it."""
    copy = f"{folder}/broken"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(f"{folder}/{name}", copy)
    if change_tensors:
        tensors = read(f"{copy}/model.safetensors")
        change_tensors(tensors)
        write(f"{copy}/model.safetensors", tensors)
    if change_config:
        edit_config(copy, lambda c: change_config(c.get("quantization_config")
                                                  or c["quantization"]))
    out = run("quantize", copy, f"{folder}/none", "--type", "F32")
    lines_said = out.stderr.splitlines()
    result(out.returncode == 1 and len(lines_said) == 1 and part in lines_said[0], what,
           f"status {out.returncode}\n{out.stderr}")


def reshape(tensors, name, shape):
    dtype, _, data = tensors[name]
    tensors[name] = (dtype, shape, data)


def patch(tensors, name, at, data):
    dtype, shape, old = tensors[name]
    tensors[name] = (dtype, shape, old[:at] + data + old[at + len(data):])


with open(f"{folder}/ids.json", "w", encoding="utf-8") as ids:
    json.dump([(i * 37 + 11) % 900 for i in range(20)], ids)
with open(f"{folder}/few.json", "w", encoding="utf-8") as ids:
    json.dump([(i * 37 + 11) % 900 for i in range(7)], ids)
FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
       "weight_block_size": [128, 128]}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
KEY = "quantization_config"
check("fp8", fp8, KEY, FP8)
check("gptq4", gptq(4, 128, 1), KEY, GPTQ)
check("gptq8", gptq(8, 64, 1), KEY, {**GPTQ, "bits": 8, "group_size": 64})
check("gptq-v2", gptq(4, -1, 0), KEY,
      {**GPTQ, "group_size": -1, "checkpoint_format": "gptq_v2"})
check("awq", awq(128), KEY, AWQ)
check("awq32", awq(32), KEY, {**AWQ, "group_size": 32})
for mlx_bits in (4, 6, 8):
    check(f"mlx{mlx_bits}", mlx(mlx_bits, 64), "quantization",
          {"bits": mlx_bits, "group_size": 64}, with_embedding=True)

Q = "model.layers.0.self_attn.q_proj"
fails("an unknown method", "awq", "bitsandbytes", None,
      lambda q: q.update(quant_method="bitsandbytes"))
fails("GPTQ with three bits", "gptq4", "bits is 3", None, lambda q: q.update(bits=3))
fails("no groups", "gptq4", "group_size is 0", None, lambda q: q.update(group_size=0))
fails("AWQ in another version", "awq", "gemv", None, lambda q: q.update(version="gemv"))
fails("FP8 with other blocks", "fp8", "weight_block_size", None,
      lambda q: q.update(weight_block_size=[128, 100]))
fails("no g_idx", "gptq4", f"{Q}.g_idx is missing", lambda t: t.pop(f"{Q}.g_idx"))
fails("columns in another order", "gptq4", "column 3 has group 7",
      lambda t: patch(t, f"{Q}.g_idx", 12, b"\7"))
fails("no zeros", "awq", f"{Q}.qzeros is missing", lambda t: t.pop(f"{Q}.qzeros"))
fails("scales of a wrong shape", "awq", f"{Q}.scales is F16 [2, 64]",
      lambda t: reshape(t, f"{Q}.scales", [2, 64]))
fails("a scale that is no number", "awq", f"{Q}.scales: element 1 is NaN",
      lambda t: patch(t, f"{Q}.scales", 2, struct.pack("<e", float("nan"))))
fails("an FP8 weight that is no number", "fp8", f"{Q}.weight: element 5 is NaN",
      lambda t: patch(t, f"{Q}.weight", 5, b"\xff"))
fails("FP8 without scales", "fp8", f"{Q}.weight_scale_inv is missing",
      lambda t: t.pop(f"{Q}.weight_scale_inv"))
fails("MLX without biases", "mlx4", f"{Q}.biases is missing", lambda t: t.pop(f"{Q}.biases"))
fails("MLX weights of a wrong width", "mlx4", f"{Q}.weight is U32",
      lambda t: reshape(t, f"{Q}.weight", [256, 8]))
print(f"1..{n_tests}")
