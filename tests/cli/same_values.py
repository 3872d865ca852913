"""Compares one model made three ways: DIR/one (one file), DIR/many (shards), DIR/gguf.gguf.

Also checks what the folder says about itself: config.json's names and the special tokens' ids.
usage: same_values.py DIR
"""
import json
import os
import struct
import sys


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        base = file.tell()
        tensors = {}
        for name, info in header.items():
            if name != "__metadata__":
                begin, end = info["data_offsets"]
                file.seek(base + begin)
                tensors[name] = (tuple(info["shape"]), file.read(end - begin))
    return tensors


def read_gguf(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 4

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0]

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size : at].decode()

    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
               12: "d"}

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            item, count = take("I"), take("Q")
            return [value(item) for _ in range(count)]
        return take(scalars[kind])

    assert take("I") == 3
    n_tensors, n_keys = take("Q"), take("Q")
    keys = {}
    for _ in range(n_keys):
        name = text()
        keys[name] = value(take("I"))
    infos = []
    for _ in range(n_tensors):
        name = text()
        dims = [take("Q") for _ in range(take("I"))]
        assert take("I") == 0, "F32"
        infos.append((name, tuple(reversed(dims)), take("Q")))
    base = (at + 31) // 32 * 32
    tensors = {}
    for name, shape, offset in infos:
        size = 4
        for n in shape:
            size *= n
        tensors[name] = (shape, data[base + offset : base + offset + size])
    return keys, tensors


def hf_names(tensors):
    """GGUF names to Hugging Face's, banks to single experts."""
    plain = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight":
             "model.norm.weight", "output.weight": "lm_head.weight"}
    parts = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_output": "self_attn.o_proj", "ffn_gate_inp": "mlp.gate"}
    for x in "qkv":
        parts[f"attn_{x}"] = f"self_attn.{x}_proj"
        parts[f"attn_{x}_norm"] = f"self_attn.{x}_norm"
    for x in ("gate", "up", "down"):
        parts[f"ffn_{x}"] = f"mlp.{x}_proj"
    out = {}
    for name, (shape, data) in tensors.items():
        if name in plain:
            out[plain[name]] = (shape, data)
            continue
        _, layer, part, kind = name.split(".")
        if part.endswith("_exps"):
            size = len(data) // shape[0]
            for e in range(shape[0]):
                hf = f"model.layers.{layer}.mlp.experts.{e}.{part[4:-5]}_proj.weight"
                out[hf] = (shape[1:], data[e * size : (e + 1) * size])
        else:
            out[f"model.layers.{layer}.{parts[part]}.{kind}"] = (shape, data)
    return out


directory = sys.argv[1]
one = read_safetensors(f"{directory}/one/model.safetensors")
with open(f"{directory}/many/model.safetensors.index.json", encoding="utf-8") as file:
    index = json.load(file)
many = {}
for shard in set(index["weight_map"].values()):
    path = f"{directory}/many/{shard}"
    tensors = read_safetensors(path)
    assert all(index["weight_map"][name] == shard for name in tensors), shard
    assert os.path.getsize(path) < 500000 or len(tensors) == 1, shard
    many.update(tensors)
assert len(set(index["weight_map"].values())) > 1
assert index["metadata"]["total_size"] == sum(len(data) for _, data in many.values())
keys, gguf = read_gguf(f"{directory}/gguf.gguf")
with open(f"{directory}/one/config.json", encoding="utf-8") as file:
    config = json.load(file)
with open(f"{directory}/one/tokenizer.json", encoding="utf-8") as file:
    tokenizer = json.load(file)

head = one.pop("lm_head.weight")
if config["tie_word_embeddings"]:
    assert head == one["model.embed_tokens.weight"], "a stored tied head is the embedding"
else:
    one["lm_head.weight"] = head
assert one == many, "shards differ"
assert one == hf_names(gguf), "GGUF differs"
ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
assert len(ids) == 26 and config["eos_token_id"] == ids["<|im_end|>"]
assert keys["tokenizer.ggml.tokens"][ids["</think>"]] == "</think>"
assert keys["tokenizer.ggml.eos_token_id"] == config["eos_token_id"]
assert len(keys["tokenizer.ggml.tokens"]) == config["vocab_size"]
