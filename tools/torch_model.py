"""The model of docs/model.md in PyTorch, over a dictionary of weights with Hugging Face's names: what
tools/make_fixtures.py and tools/make_gradient_fixtures.py compute with. Needs python3-torch."""
import json
import math
import struct
import subprocess
import tempfile
from pathlib import Path

import torch


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


def random_model(arguments, build):
    """(config, weights in float64) of the model that tools/make_model makes with these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{build}/tools/make_model", arguments[0], folder, *arguments[1:]]
        subprocess.run(command, check=True)
        config = json.loads(Path(folder, "config.json").read_text())
        return config, read_safetensors(f"{folder}/model.safetensors")
