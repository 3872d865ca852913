"""Text to ids and back, and chat templates."""

import ctypes
import json

from . import _library
from ._library import call, id_array, lib, take_text


class ModelHandle:
    """An open wen_model. Closed when nobody uses it any more, or by close()."""

    def __init__(self, path, load, **options):
        c_options = lib.wen_model_options_defaults()
        c_options.load = load
        for name, value in options.items():
            setattr(c_options, name, value)
        self.address = None
        self.address = call("wen_model_open", str(path).encode(), ctypes.byref(c_options))

    def info(self, context=0, kv_type=None):
        kv_type = kv_type.encode() if kv_type else None
        return json.loads(take_text(call("wen_model_info", self.open(), context, kv_type)))

    def open(self):
        """The address, for a call."""
        if not self.address:
            raise ValueError("the model was closed")
        return self.address

    def close(self):
        address, self.address = self.address, None
        if address:
            lib.wen_model_close(address)

    def __del__(self):
        self.close()


class Tokenizer:
    """The tokenizer and chat template of a model.

    >>> tokenizer = Tokenizer.from_pretrained("builtin")
    >>> tokenizer.decode(tokenizer.encode("Hello"))
    'Hello'
    """

    def __init__(self, handle):
        self._handle = handle
        self._info = handle.info()

    @classmethod
    def from_pretrained(cls, path="builtin"):
        """From a .gguf file, a folder (tokenizer files alone will do) or "builtin"."""
        return cls(ModelHandle(path, _library.LOAD_TEXT))

    def encode(self, text, split_special_tokens=False):
        """Text -> ids. Special tokens such as "<|im_end|>" are matched wherever they stand, unless
        split_special_tokens makes them plain text: for what a user typed."""
        ids, n_ids = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_int()
        data = text.encode("utf-8", "surrogateescape")
        call("wen_tokenize", self._handle.open(), data, len(data), split_special_tokens,
             ctypes.byref(ids), ctypes.byref(n_ids))
        try:
            return ids[:n_ids.value]
        finally:
            lib.wen_free(ids)

    def __call__(self, text):
        """{"input_ids", "attention_mask"} of a text, or lists of them for a list of texts."""
        ids = self.encode(text) if isinstance(text, str) else [self.encode(t) for t in text]
        mask = [1] * len(ids) if isinstance(text, str) else [[1] * len(i) for i in ids]
        return {"input_ids": ids, "attention_mask": mask}

    def decode_bytes(self, ids, skip_special_tokens=False):
        """Ids -> their exact bytes, which need not be whole characters."""
        ids = [ids] if isinstance(ids, int) else list(ids)
        n_bytes = ctypes.c_size_t()
        text = call("wen_detokenize", self._handle.open(), id_array(ids), len(ids),
                    skip_special_tokens, ctypes.byref(n_bytes))
        return take_text(text, n_bytes.value)

    def decode(self, ids, skip_special_tokens=False):
        """Ids -> text; what is no character becomes U+FFFD."""
        return self.decode_bytes(ids, skip_special_tokens).decode("utf-8", "replace")

    def apply_chat_template(self, messages, tools=None, tokenize=True, add_generation_prompt=False,
                            **kwargs):
        """Messages ({"role", "content"}) -> the prompt's ids, or its text with tokenize=False.

        Further arguments, such as enable_thinking=False, are variables of the template. In ids,
        special tokens are matched in all of the text, as Transformers does; Model.chat matches them
        only in what the template wrote.
        """
        request = {"messages": list(messages), "add_generation_prompt": add_generation_prompt}
        if tools:
            request["tools"] = list(tools)
        if kwargs:
            request["chat_template_kwargs"] = kwargs
        n_bytes = ctypes.c_size_t()
        text = take_text(call("wen_render", self._handle.open(), json.dumps(request).encode(),
                              ctypes.byref(n_bytes)), n_bytes.value).decode()
        return self.encode(text) if tokenize else text

    @property
    def vocab_size(self):
        """Ids that have a text."""
        return self._info["tokenizer"]["n_tokens"]

    @property
    def eos_token_ids(self):
        """The ids that end an answer."""
        return self._info["eos_ids"]

    @property
    def eos_token_id(self):
        """The first of them, or None."""
        return self.eos_token_ids[0] if self.eos_token_ids else None

    @property
    def pad_token_id(self):
        return self._info["tokenizer"]["pad_id"]
