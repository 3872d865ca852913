"""Runs the oracle on the model of one fixture and compares logits.

usage: oracle_fixture.py FIXTURE.json BUILD FOLDER
"""
import array
import json
import math
import subprocess
import sys

TOLERANCE = 1e-7  # the fixtures have eight decimals

fixture_path, build, folder = sys.argv[1:]
with open(fixture_path, encoding="utf-8") as file:
    fixture = json.load(file)
shape, *options = fixture["model"]
if "decoder_sparse_step=2" in options:
    print("not in a GGUF # SKIP")
    sys.exit()
with open(f"{folder}/ids.json", "w", encoding="utf-8") as file:
    json.dump(fixture["ids"], file)
subprocess.run([f"{build}/tools/make_model", shape, f"{folder}/m.gguf", *options], check=True,
               stderr=subprocess.DEVNULL)
subprocess.run([f"{build}/tests/oracle/qwen3", f"{folder}/m.gguf", f"{folder}/ids.json", "--full64",
                f"{folder}/out"], check=True, stderr=subprocess.DEVNULL)
logits = array.array("d")
with open(f"{folder}/out", "rb") as file:
    logits.frombytes(file.read())
n = len(fixture["ids"])
width = len(logits) // n
worst = 0.0
for t in range(n):
    row = logits[t * width : (t + 1) * width]
    for column, expected in zip(fixture["columns"], fixture["logits"][t]):
        worst = max(worst, abs(row[column] - expected))
    top = max(row)
    log_sum = top + math.log(math.fsum(math.exp(x - top) for x in row))
    worst = max(worst, abs(log_sum - fixture["log_sum_exp"][t]))
    if row.index(top) != fixture["top"][t]:
        sys.exit(f"position {t}: top {row.index(top)}, not {fixture['top'][t]}")
if not worst < TOLERANCE:
    sys.exit(f"a logit differs by {worst:.3g}")
print(f"at most {worst:.1e} apart")
