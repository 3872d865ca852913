#!/usr/bin/python3
"""Makes tests/fixtures/gradient_*.json and curve_*.json: what PyTorch's autograd and AdamW make of
small random models, in float64.

A gradient's fixture holds, for every tensor, some of its numbers and its sums with patterns of signs
(so that no number goes unseen); a curve's, the losses of 200 steps. Weights come from the
safetensors that tools/make_model writes, ids from a generator that the test has too. Run it from the
repository's root after `make tools`; it needs python3-torch. The tests need only the files.

usage: tools/make_gradient_fixtures.py [BUILD]      (default build/release)
"""
import json
import math
import random
import sys
from pathlib import Path

import torch
from torch_model import logits, random_model

MODELS = {
    "dense": ["micro", "--seed", "21"],
    "untied": ["micro", "--seed", "22", "--set", "tie_word_embeddings=0"],
    "moe": ["micro-moe", "--seed", "23"],
    "qwen2": ["micro-qwen2", "--seed", "24"],
}
LENGTHS = [38, 26, 70, 10]  # even: the trainer fills odd rows up
BALANCE = 0.3
POINTS, PATTERNS = 12, 4
CURVES = {"dense": ["micro", "--seed", "31"], "moe": ["micro-moe", "--seed", "33"]}
STEPS, SEQUENCES, TOKENS = 200, 4, 24
ADAMW = {"peak": 2e-3, "warmup": 10, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "decay": 0.1,
         "clip": 1.0}


def signs(n, pattern):
    """+1 or -1 for each of n places, by bit 8 + pattern of a multiplicative hash."""
    hashed = (torch.arange(n, dtype=torch.int64) * 2654435761) % 2**32
    return 1.0 - 2.0 * ((hashed >> (8 + pattern)) % 2).double()


class Ids:
    """Park and Miller's generator; text that can be learned: mostly a fixed next id."""

    def __init__(self):
        self.state = 1

    def below(self, n):
        self.state = self.state * 16807 % 2147483647
        return self.state * n // 2147483647

    def sequence(self, n):
        ids = [self.below(96)]
        while len(ids) < n:
            ids.append((ids[-1] * 5 + 7) % 96 if self.below(4) else self.below(96))
        return ids


def balance_loss(config, chosen):
    """E sum_i f_i P_i of each mixture layer, over all sequences; f_i are counts, without gradient."""
    n_experts, total = config["num_experts"], 0.0
    for layer in zip(*chosen):
        probabilities = torch.cat([p for p, _ in layer])
        experts = torch.cat([e for _, e in layer]).flatten()
        share = torch.bincount(experts, minlength=n_experts).double() / experts.numel()
        total = total + n_experts * (share * probabilities.mean(dim=0)).sum()
    return total


def routes(config, weights, run):
    """Calls run() and returns what each mixture layer's router decided meanwhile."""
    seen, original = [], torch.Tensor.topk

    def topk(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        seen.append((self, result[1]))
        return result

    torch.Tensor.topk = topk
    try:
        value = run()
    finally:
        torch.Tensor.topk = original
    return value, seen


def loss_of(config, weights, sequences, targets, scales, balance):
    total, chosen = 0.0, []
    for ids, target, scale in zip(sequences, targets, scales):
        rows, seen = routes(config, weights, lambda: logits(config, weights, ids))
        picked = rows.log_softmax(dim=-1)[torch.arange(len(ids)), torch.tensor(target)]
        total = total - (picked * torch.tensor(scale, dtype=torch.float64)).sum()
        chosen.append(seen)
    extra = balance * balance_loss(config, chosen) if balance else 0.0
    return total, total + extra


def gradient_fixture(name, arguments, build):
    arguments = arguments + ["--type", "F32"]
    config, weights = random_model(arguments, build)
    rng = random.Random(name)
    sequences = [[rng.randrange(1024) for _ in range(n)] for n in LENGTHS]
    targets = [[rng.randrange(1024) for _ in range(n)] for n in LENGTHS]
    raw = [[rng.choice([0, 0.5, 1, 1]) for _ in range(n)] for n in LENGTHS]
    total = sum(map(sum, raw))
    for tensor in weights.values():
        tensor.requires_grad_(True)
        tensor.grad = torch.zeros_like(tensor)  # an expert may get no token
    balance = BALANCE if config.get("num_experts", 0) else 0.0
    scales = [[w / total for w in row] for row in raw]
    loss, objective = loss_of(config, weights, sequences, targets, scales, balance)
    objective.backward()
    tensors = {}
    for key, tensor in weights.items():
        flat = tensor.grad.flatten()
        places = sorted(rng.sample(range(flat.numel()), min(POINTS, flat.numel())))
        tensors[key] = {
            "rms": float(flat.square().mean().sqrt()),
            "places": places,
            "values": [float(flat[i]) for i in places],
            "sums": [float((flat * signs(flat.numel(), p)).sum()) for p in range(PATTERNS)],
        }
    print(f"gradient of {name}: loss {float(loss):.6f}, {len(tensors)} tensors")
    fixture = {"model": arguments, "balance": balance, "loss": float(loss), "ids": sequences,
               "targets": targets, "weights": raw}
    head = ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in fixture.items())
    body = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}"
                      for key, value in tensors.items())
    Path("tests/fixtures", f"gradient_{name}.json").write_text(
        f'{{\n{head},\n  "tensors": {{\n{body}\n  }}\n}}\n')


def adamw(weights, moments, step):
    """One step of AdamW after clipping by the norm of the whole gradient; vectors do not decay."""
    norm = math.sqrt(sum(float(w.grad.square().sum()) for w in weights.values()))
    scale = min(1.0, ADAMW["clip"] / norm)
    rate = ADAMW["peak"] * min(1.0, (step + 1) / ADAMW["warmup"])
    with torch.no_grad():
        for key, w in weights.items():
            m, v = moments[key]
            g = w.grad * scale
            m.mul_(ADAMW["beta1"]).add_(g, alpha=1 - ADAMW["beta1"])
            v.mul_(ADAMW["beta2"]).add_(g * g, alpha=1 - ADAMW["beta2"])
            change = m / (1 - ADAMW["beta1"] ** (step + 1))
            change = change / ((v / (1 - ADAMW["beta2"] ** (step + 1))).sqrt() + ADAMW["eps"])
            if w.dim() > 1:
                change = change + ADAMW["decay"] * w
            w.sub_(rate * change)


def curve_fixture(name, arguments, build):
    arguments = arguments + ["--type", "F32"]
    config, weights = random_model(arguments, build)
    ids, losses = Ids(), []
    balance = 0.01 if config.get("num_experts", 0) else 0.0
    moments = {k: (torch.zeros_like(w), torch.zeros_like(w)) for k, w in weights.items()}
    for step in range(STEPS):
        for tensor in weights.values():
            tensor.requires_grad_(True)
            tensor.grad = torch.zeros_like(tensor)  # an expert may get no token
        rows = [ids.sequence(TOKENS + 1) for _ in range(SEQUENCES)]
        scales = [[1 / (SEQUENCES * TOKENS)] * TOKENS] * SEQUENCES
        loss, objective = loss_of(config, weights, [r[:-1] for r in rows], [r[1:] for r in rows],
                                  scales, balance)
        objective.backward()
        adamw(weights, moments, step)
        losses.append(round(float(loss), 9))
    print(f"curve of {name}: {losses[0]:.4f} to {losses[-1]:.4f}")
    fixture = {"model": arguments, "balance": balance, "sequences": SEQUENCES, "tokens": TOKENS,
               **ADAMW, "losses": losses}
    body = ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in fixture.items())
    Path("tests/fixtures", f"curve_{name}.json").write_text(f"{{\n{body}\n}}\n")


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build/release"
    torch.set_num_threads(1)
    for name, arguments in MODELS.items():
        gradient_fixture(name, arguments, build)
    for name, arguments in CURVES.items():
        curve_fixture(name, arguments, build)


main()
