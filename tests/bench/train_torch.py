#!/usr/bin/python3
"""One optimizer step of a Qwen3-shaped model in PyTorch, timed: what bench_train compares with.

usage: train_torch.py HIDDEN LAYERS HEADS KV_HEADS HEAD_DIM FFN VOCAB ROWS TOKENS PRECISION [STEPS]

PRECISION is f32; bf16 (autocast over f32 weights); or bf16-all (everything in bfloat16, no f32
masters: the fastest that PyTorch has, and no way to train for long). Prints one JSON object with the
best step's tokens per second and the peak memory. Threads: OMP_NUM_THREADS. Needs python3-torch.
"""
import json
import math
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Layer(nn.Module):
    def __init__(self, hidden, heads, kv_heads, head_dim, ffn):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.norm1, self.norm2 = Norm(hidden), Norm(hidden)
        self.q_norm, self.k_norm = Norm(head_dim), Norm(head_dim)
        self.q = nn.Linear(hidden, heads * head_dim, bias=False)
        self.k = nn.Linear(hidden, kv_heads * head_dim, bias=False)
        self.v = nn.Linear(hidden, kv_heads * head_dim, bias=False)
        self.o = nn.Linear(heads * head_dim, hidden, bias=False)
        self.gate = nn.Linear(hidden, ffn, bias=False)
        self.up = nn.Linear(hidden, ffn, bias=False)
        self.down = nn.Linear(ffn, hidden, bias=False)

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        h = self.norm1(x)
        q = self.q_norm(self.q(h).view(b, t, self.heads, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k(h).view(b, t, self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.v(h).view(b, t, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head_dim) + mask
        mixed = (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(b, t, -1)
        x = x + self.o(mixed)
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, hidden, layers, heads, kv_heads, head_dim, ffn, vocab, tokens):
        super().__init__()
        self.embed = nn.Embedding(vocab, hidden)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.layers = nn.ModuleList(
            [Layer(hidden, heads, kv_heads, head_dim, ffn) for _ in range(layers)])
        self.norm = Norm(hidden)
        angle = torch.outer(torch.arange(tokens).float(),
                            1e4 ** (-torch.arange(0, head_dim, 2).float() / head_dim))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())
        self.register_buffer("mask", torch.full((tokens, tokens), -1e9).triu(1))

    def forward(self, ids, targets):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin, self.mask)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main():
    sizes = [int(x) for x in sys.argv[1:10]]
    precision, steps = sys.argv[10], int(sys.argv[11]) if len(sys.argv) > 11 else 4
    *shape, vocab, rows, tokens = sizes
    torch.manual_seed(1)
    model = Model(*shape, vocab, tokens)
    if precision == "bf16-all":
        model = model.bfloat16()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95),
                                  foreach=precision != "bf16-all")
    best = math.inf
    for _ in range(steps):
        ids = torch.randint(0, min(vocab, 1024), (rows, tokens + 1))
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        best = min(best, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"precision": precision, "tokens_per_s": round(rows * tokens / best, 1),
                      "peak_mb": round(peak), "loss": round(float(loss), 3)}))


main()
