"""Qwen3 models from Python, through libwen: no other packages, no compiler.

    from wen import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("Qwen3-8B-Q4_K_M.gguf")
    model = AutoModelForCausalLM.from_pretrained("Qwen3-8B-Q4_K_M.gguf")

    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, enable_thinking=True)
    output = model.generate(ids, max_new_tokens=32768)
    print(tokenizer.decode(output[len(ids):], skip_special_tokens=True))

    for chunk in model.chat(messages, stream=True):
        print(chunk.text, end="", flush=True)
"""

from ._library import WenError, lib
from .model import Model
from .reply import Chunk, Reply, Stream, ToolCall
from .tokenizer import Tokenizer

# The names that Transformers users look for.
AutoModelForCausalLM = Model
AutoTokenizer = Tokenizer

__version__ = lib.wen_version().decode()
__all__ = ["AutoModelForCausalLM", "AutoTokenizer", "Chunk", "Model", "Reply", "Stream",
           "Tokenizer", "ToolCall", "WenError"]
