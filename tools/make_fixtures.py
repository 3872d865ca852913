#!/usr/bin/python3
"""Makes tests/fixtures/*.json: logits of small random models, computed by PyTorch in float64.

A third reading of docs/model.md, independent of src/ and of tests/oracle/: weights come from the
safetensors that tools/make_model writes, so a fixture holds only the command that makes the model,
the ids, and some of the logits. Run it from the repository's root after `make tools`; it needs
python3-torch. The tests need only the files it wrote.

usage: tools/make_fixtures.py [BUILD]      (default build/release)
"""
import json
import math
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

# Name, make_model's arguments, number of ids.
FIXTURES = [
    ("dense", ["micro", "--seed", "11"], 40),
    ("dense_untied", ["micro", "--seed", "12", "--set", "tie_word_embeddings=0"], 24),
    ("moe", ["micro-moe", "--seed", "13"], 40),
    ("moe_sparse", ["micro-moe", "--seed", "14", "--set", "decoder_sparse_step=2",
                    "--set", "norm_topk_prob=0"], 24),
    ("qwen2", ["micro-qwen2", "--seed", "15"], 40),
    ("yarn", ["micro", "--seed", "16", "--set", "yarn_factor=4", "--set", "yarn_original=32"], 96),
]
COLUMNS = 24  # logits kept of each position, besides the sum of exponentials of all


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        assert info["dtype"] == "F32", info
        begin, end = info["data_offsets"]
        flat = torch.frombuffer(data[begin:end], dtype=torch.float32)
        tensors[name] = flat.reshape(info["shape"]).double()
    return tensors


def rms_norm(x, weight, eps):
    return weight * x / torch.sqrt((x * x).mean(dim=-1, keepdim=True) + eps)


def rope_tables(config, head_dim, n):
    """Cosines and sines [n, head_dim / 2]."""
    base = config["rope_theta"]
    frequency = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    gain = 1.0
    scaling = config["rope_scaling"]
    if scaling:
        factor, original = scaling["factor"], scaling["original_max_position_embeddings"]

        def pair_of(turns):
            return head_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

        low = max(math.floor(pair_of(scaling.get("beta_fast", 32))), 0)
        high = min(math.ceil(pair_of(scaling.get("beta_slow", 1))), head_dim - 1)
        pairs = torch.arange(head_dim // 2, dtype=torch.float64)
        ramp = ((pairs - low) / (high - low if high > low else 0.001)).clamp(0, 1)
        frequency = frequency / factor * ramp + frequency * (1 - ramp)
        gain = 0.1 * math.log(factor) + 1
    angle = torch.arange(n, dtype=torch.float64)[:, None] * frequency[None]
    return angle.cos() * gain, angle.sin() * gain


def rotate(x, cos, sin):
    """x [n, heads, head_dim]"""
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attention(config, weights, prefix, h, cos, sin):
    n = h.shape[0]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim", config["hidden_size"] // heads)

    def project(name, count):
        y = h @ weights[f"{prefix}.{name}_proj.weight"].T
        if f"{prefix}.{name}_proj.bias" in weights:
            y = y + weights[f"{prefix}.{name}_proj.bias"]
        y = y.reshape(n, count, head_dim)
        if f"{prefix}.{name}_norm.weight" in weights:
            y = rms_norm(y, weights[f"{prefix}.{name}_norm.weight"], config["rms_norm_eps"])
        return y

    q = rotate(project("q", heads), cos, sin)
    k = rotate(project("k", kv_heads), cos, sin).repeat_interleave(heads // kv_heads, dim=1)
    v = project("v", kv_heads).repeat_interleave(heads // kv_heads, dim=1)
    scores = torch.einsum("thd,shd->hts", q, k) / math.sqrt(head_dim)
    future = torch.ones(n, n, dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future[None], -math.inf)
    mixed = torch.einsum("hts,shd->thd", scores.softmax(dim=-1), v).reshape(n, heads * head_dim)
    return mixed @ weights[f"{prefix}.o_proj.weight"].T


def swiglu(weights, prefix, h):
    gate = h @ weights[f"{prefix}.gate_proj.weight"].T
    up = h @ weights[f"{prefix}.up_proj.weight"].T
    return (torch.nn.functional.silu(gate) * up) @ weights[f"{prefix}.down_proj.weight"].T


def mixture(config, weights, prefix, h):
    probabilities = (h @ weights[f"{prefix}.gate.weight"].T).softmax(dim=-1)
    weight, expert = probabilities.topk(config["num_experts_per_tok"], dim=-1)
    if config["norm_topk_prob"]:
        weight = weight / weight.sum(dim=-1, keepdim=True)
    rows = []
    for t in range(h.shape[0]):
        parts = [w * swiglu(weights, f"{prefix}.experts.{e}", h[t])
                 for w, e in zip(weight[t], expert[t].tolist())]
        rows.append(torch.stack(parts).sum(dim=0))
    return torch.stack(rows)


def logits(config, weights, ids):
    eps = config["rms_norm_eps"]
    x = weights["model.embed_tokens.weight"][torch.tensor(ids)]
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    cos, sin = rope_tables(config, head_dim, len(ids))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        h = rms_norm(x, weights[f"{prefix}.input_layernorm.weight"], eps)
        x = x + attention(config, weights, f"{prefix}.self_attn", h, cos, sin)
        h = rms_norm(x, weights[f"{prefix}.post_attention_layernorm.weight"], eps)
        is_mixture = (config.get("num_experts", 0) > 0
                      and (layer + 1) % config["decoder_sparse_step"] == 0)
        if is_mixture:
            x = x + mixture(config, weights, f"{prefix}.mlp", h)
        else:
            x = x + swiglu(weights, f"{prefix}.mlp", h)
    x = rms_norm(x, weights["model.norm.weight"], eps)
    tied = config["tie_word_embeddings"]
    return x @ weights["model.embed_tokens.weight" if tied else "lm_head.weight"].T


def make(name, arguments, n_ids, build):
    with tempfile.TemporaryDirectory() as folder:
        shape, options = arguments[0], arguments[1:] + ["--type", "F32"]
        subprocess.run([f"{build}/tools/make_model", shape, folder, *options], check=True)
        config = json.loads(Path(folder, "config.json").read_text())
        weights = read_safetensors(f"{folder}/model.safetensors")
    rng = random.Random(name)
    ids = [rng.randrange(config["vocab_size"]) for _ in range(n_ids)]
    columns = sorted(rng.sample(range(config["vocab_size"]), COLUMNS))
    rows = logits(config, weights, ids)
    print(f"{name}: logits {tuple(rows.shape)}, sd {rows.std():.3f}")
    fixture = {
        "model": [shape, *options],
        "ids": ids,
        "columns": columns,
        "logits": [[round(x, 8) for x in row] for row in rows[:, columns].tolist()],
        "log_sum_exp": [round(x, 8) for x in rows.logsumexp(dim=-1).tolist()],
        "top": rows.argmax(dim=-1).tolist(),
    }
    lines = [f'  "{key}": {json.dumps(value)}' for key, value in fixture.items()
             if key != "logits"]
    body = ",\n".join(f"    {json.dumps(row)}" for row in fixture["logits"])
    lines.append(f'  "logits": [\n{body}\n  ]')
    Path("tests/fixtures", f"model_{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build/release"
    torch.set_grad_enabled(False)
    for name, arguments, n_ids in FIXTURES:
        make(name, arguments, n_ids, build)


main()
