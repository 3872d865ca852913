"""Requests in flight and what comes back."""

import ctypes
import json
from dataclasses import dataclass, field

from . import _library
from ._library import call, lib

# Ctrl-C is seen between two waits.
WAIT_MS = 100


@dataclass
class Chunk:
    """A piece of a streamed reply. kind: "thinking", "content", "tool_name" or "tool_arguments",
    with its text; call_index counts tool calls from 0."""

    kind: str
    text: str
    call_index: int = 0


@dataclass
class ToolCall:
    """name and arguments, raw JSON as the model wrote it."""

    name: str
    arguments: str = ""


@dataclass
class Reply:
    """A whole reply. finish_reason: "stop", "length", "tool_calls", "cancelled" or "no_memory"."""

    content: str = ""
    thinking: str = ""
    tool_calls: list = field(default_factory=list)
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0
    seed: int = 0

    def message(self):
        """The reply as a message of a conversation, without the thought."""
        message = {"role": "assistant", "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [
                {"type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in self.tool_calls]
        return message


_KINDS = {_library.EVENT_THINKING: "thinking", _library.EVENT_TEXT: "content",
          _library.EVENT_TOOL_NAME: "tool_name", _library.EVENT_TOOL_ARGUMENTS: "tool_arguments"}


class Request:
    """A wen_request and the Python objects that its pointers need."""

    SAMPLING = ("temperature", "top_p", "min_p", "top_k", "repetition_penalty", "presence_penalty",
                "frequency_penalty", "seed")
    TEXTS = ("json_schema", "regex", "grammar")

    def __init__(self, max_new_tokens=None, thinking_budget=None, stop=None, do_sample=None,
                 choices=None, **options):
        self.c = lib.wen_request_defaults()
        if do_sample is False:
            options["temperature"] = 0
        if max_new_tokens is not None:
            self.c.max_tokens = max_new_tokens
        if thinking_budget is not None:
            self.c.think_budget = thinking_budget
        self.put_texts("stops", [stop] if isinstance(stop, str) else stop)
        self.put_texts("choices", choices)
        for name, value in options.items():
            if name in self.SAMPLING:
                if value is not None:
                    setattr(self.c.sampling, name, value)
            elif name in self.TEXTS:
                value = json.dumps(value) if isinstance(value, dict) else value
                setattr(self.c, name, value.encode() if value is not None else None)
            else:
                raise TypeError(f"unknown option {name!r}")

    def put_texts(self, name, texts):
        if texts:
            setattr(self.c, name, (ctypes.c_char_p * len(texts))(*(t.encode() for t in texts)))
            setattr(self.c, "n_" + name, len(texts))


class Stream:
    """Iterates over the Chunks of a reply as they come; afterwards, `reply` holds all of it.

    What is not read to the end is cancelled by close(), or when nobody holds the stream any more.
    """

    def __init__(self, engine, request):
        self.address = None
        self.address = call("wen_ask", engine.open(), ctypes.byref(request.c))
        self.engine = engine
        self.reply = Reply()
        self.ids = []

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            event = self._next_event()
            if event is None:
                raise StopIteration
            chunk = self._take(event)
            if chunk:
                return chunk

    def _next_event(self):
        event = _library.wen_event()
        while self.address:
            result = lib.wen_next(self.address, WAIT_MS, ctypes.byref(event))
            if result == _library.NEXT_EVENT:
                return event
            if result == _library.NEXT_END:
                self.close()
        return None

    def _take(self, event):
        reply = self.reply
        if event.kind == _library.EVENT_TOKEN:
            self.ids.append(event.id)
            return None
        text = ctypes.string_at(event.text, event.text_bytes).decode()
        if event.kind == _library.EVENT_DONE:
            self._finish(event, text)
            return None
        if event.kind == _library.EVENT_THINKING:
            reply.thinking += text
        elif event.kind == _library.EVENT_TEXT:
            reply.content += text
        elif event.kind == _library.EVENT_TOOL_NAME:
            reply.tool_calls.append(ToolCall(text))
        elif event.kind == _library.EVENT_TOOL_ARGUMENTS:
            reply.tool_calls[event.call_i].arguments += text
        kind = _KINDS.get(event.kind)
        return Chunk(kind, text, event.call_i) if kind else None

    def _finish(self, event, text):
        reply, usage = self.reply, event.usage
        reply.finish_reason = lib.wen_finish_name(event.finish).decode()
        if reply.finish_reason == "error":
            raise _library.WenError("device", text)
        reply.prompt_tokens = usage.prompt_tokens
        reply.completion_tokens = usage.completion_tokens
        reply.thinking_tokens = usage.reasoning_tokens
        reply.seed = event.seed

    def read(self):
        """Reads to the end; returns the reply."""
        for _ in self:
            pass
        return self.reply

    def cancel(self):
        """Asks the reply to end; what was made until then can still be read. From any thread."""
        if self.address:
            lib.wen_cancel(self.address)

    def close(self):
        address, self.address = self.address, None
        if address:
            lib.wen_reply_free(address)

    def __del__(self):
        self.close()
