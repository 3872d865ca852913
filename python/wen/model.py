"""A model and the engine that runs it."""

import ctypes
import json

from . import _library
from ._library import call, id_array, lib
from .reply import Request, Stream
from .tokenizer import ModelHandle, Tokenizer


class EngineHandle:
    """An open wen_engine."""

    def __init__(self, model, options):
        self.address = None
        self.address = call("wen_engine_open", model.open(), ctypes.byref(options))

    def open(self):
        """The address, for a call."""
        if not self.address:
            raise ValueError("the model was closed")
        return self.address

    def close(self):
        address, self.address = self.address, None
        if address:
            lib.wen_engine_close(address)

    def __del__(self):
        self.close()


class Model:
    """A Qwen3 model, ready to answer.

    >>> model = Model.from_pretrained("builtin")
    >>> model.chat([{"role": "user", "content": "What is 2 + 3?"}], seed=1).finish_reason
    'stop'

    Options of generate and chat: max_new_tokens (the rest of the context), temperature, top_p,
    top_k, min_p, repetition_penalty, presence_penalty, frequency_penalty (what is not given comes
    from the model's generation_config.json), do_sample=False (always the likeliest token), seed
    (same seed, same answer), stop (a text or several), thinking_budget (tokens of thought), and at
    most one form of the answer: json_schema, regex, grammar (GBNF) or choices.

    Any thread may use a model; many requests at a time run side by side.
    """

    def __init__(self, handle, engine):
        self._handle, self._engine = handle, engine
        self.tokenizer = Tokenizer(handle)

    @classmethod
    def from_pretrained(cls, path="builtin", device="auto", threads=0, context=0, kv_type=None):
        """Opens a .gguf file, a folder with config.json and safetensors, or "builtin".

        threads 0: one for each processor. context: positions of a conversation; 0: the model's
        maximum, as memory allows. kv_type, of keys and values: "f32", "f16", "bf16" or "q8_0".
        """
        handle = ModelHandle(path, _library.LOAD_ALL, device=device.encode(), n_threads=threads)
        options = lib.wen_engine_options_defaults()
        options.context = context
        options.kv_type = kv_type.encode() if kv_type else None
        return cls(handle, EngineHandle(handle, options))

    @property
    def info(self):
        """What the model is: architecture, types, context, memory, ... (wen_model_info in wen.h)"""
        return self._handle.info()

    def generate(self, input_ids, **options):
        """Goes on with ids: returns them with the new ones behind, as Transformers does.

        input_ids may be a text (special tokens are matched), a list of ids, what a Tokenizer makes
        ({"input_ids": ...}), or a list of lists: those are computed side by side.
        """
        if isinstance(input_ids, dict):
            input_ids = input_ids["input_ids"]
        if isinstance(input_ids, str):
            input_ids = self.tokenizer.encode(input_ids)
        is_batch = len(input_ids) > 0 and not isinstance(input_ids[0], int)
        prompts = [list(ids) for ids in input_ids] if is_batch else [list(input_ids)]
        streams = [self._start_ids(ids, options) for ids in prompts]
        for stream in streams:
            stream.read()
        outputs = [ids + stream.ids for ids, stream in zip(prompts, streams)]
        return outputs if is_batch else outputs[0]

    def _start_ids(self, ids, options):
        request = Request(**options)
        request.c.ids, request.c.n_ids = id_array(ids), len(ids)
        request.c.n_logprobs = 0  # an event for each token
        request.c.parses_tools = 0
        return Stream(self._engine, request)

    def chat(self, messages, tools=None, enable_thinking=None, stream=False,
             chat_template_kwargs=None, **options):
        """Answers messages ({"role", "content"}): a Reply, or with stream=True a Stream of Chunks.

        enable_thinking: True, False, or None: as the model does by itself. Special tokens in
        messages stay text. tools: OpenAI's tool objects; calls come as tool_calls.
        """
        request = Request(**options)
        request.c.messages = json.dumps(list(messages)).encode()
        if tools:
            request.c.tools = json.dumps(list(tools)).encode()
        if chat_template_kwargs:
            request.c.template_kwargs = json.dumps(chat_template_kwargs).encode()
        if enable_thinking is not None:
            request.c.think = int(enable_thinking)
        reply = Stream(self._engine, request)
        return reply if stream else reply.read()

    def embed(self, texts):
        """The embedding of a text, or of each in a list: the last token's final hidden state,
        scaled to length 1, as a list of floats."""
        if isinstance(texts, str):
            return self._embed_one(texts)
        return [self._embed_one(text) for text in texts]

    def _embed_one(self, text):
        info = self.info
        ids = self.tokenizer.encode(text)
        suffix = info["tokenizer"]["suffix_id"]
        if suffix is not None:
            ids.append(suffix)
        vector = (ctypes.c_float * info["d_model"])()
        call("wen_embed", self._engine.open(), id_array(ids), len(ids), vector)
        return list(vector)

    def close(self):
        """Gives the memory back. Running replies are cancelled."""
        self._engine.close()
        self._handle.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
