#!/usr/bin/python3
"""Makes tests/fixtures/*.json: logits of small random models, computed by PyTorch in float64.

A third reading of docs/model.md, independent of src/ and of tests/oracle/: weights come from the
safetensors that tools/make_model writes, so a fixture holds only the command that makes the model,
the ids, and some of the logits. Run it from the repository's root after `make tools`; it needs
python3-torch. The tests need only the files it wrote.

usage: tools/make_fixtures.py [BUILD]      (default build/release)
"""
import json
import random
import sys
from pathlib import Path

import torch
from torch_model import logits, random_model

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


def make(name, arguments, n_ids, build):
    arguments = arguments + ["--type", "F32"]
    config, weights = random_model(arguments, build)
    rng = random.Random(name)
    ids = [rng.randrange(config["vocab_size"]) for _ in range(n_ids)]
    columns = sorted(rng.sample(range(config["vocab_size"]), COLUMNS))
    rows = logits(config, weights, ids)
    print(f"{name}: logits {tuple(rows.shape)}, sd {rows.std():.3f}")
    fixture = {
        "model": arguments,
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
