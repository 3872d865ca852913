"""Renders the qwen3-hybrid vectors with Jinja itself, set up as Transformers does.

usage: render_vectors.py TEMPLATE VECTORS.json
"""
import json
import sys

import jinja2

environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
with open(sys.argv[1], encoding="utf-8") as file:
    template = environment.from_string(file.read())
with open(sys.argv[2], encoding="utf-8") as file:
    vectors = json.load(file)
n = 0
for v in vectors:
    if v["template"] != "qwen3-hybrid.jinja" or "error" in v:
        continue
    names = ["messages", "tools", "add_generation_prompt"]
    if v["enable_thinking"] is not None:
        names.append("enable_thinking")
    text = template.render({name: v[name] for name in names})
    if text != v["text"]:
        sys.exit(f"{v['case']}:\n got {text!r}\nwant {v['text']!r}")
    n += 1
if n < 20:
    sys.exit(f"only {n} vectors")
print(n, "vectors")
