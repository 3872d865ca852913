"""libwen through ctypes: wen.h's structs and functions, word for word.

The tests compare every field's place with what a C compiler makes of wen.h.
"""

import ctypes
import ctypes.util
import os
from ctypes import POINTER, Structure, c_bool, c_char_p, c_double, c_float, c_int, c_int32
from ctypes import c_int64, c_size_t, c_void_p

SONAME = "libwen.so.0"

LOAD_ALL, LOAD_HEADERS, LOAD_TEXT = range(3)
(EVENT_THINKING, EVENT_TEXT, EVENT_TOOL_NAME, EVENT_TOOL_ARGUMENTS, EVENT_TOOL_END, EVENT_TOKEN,
 EVENT_DONE) = range(7)
NEXT_END, NEXT_TIMEOUT, NEXT_EVENT = -1, 0, 1


class wen_error(Structure):
    _fields_ = [("code", c_int), ("message", ctypes.c_char * 512)]


class wen_model_options(Structure):
    _fields_ = [("load", c_int), ("device", c_char_p), ("n_threads", c_int),
                ("yarn_factor", c_double), ("yarn_original", c_int), ("template_file", c_char_p),
                ("profiles", c_bool),
                ("progress", c_void_p), ("progress_context", c_void_p)]


class wen_adapter_use(Structure):
    _fields_ = [("adapter", c_void_p), ("scale", c_float)]


class wen_engine_options(Structure):
    _fields_ = [("context", c_int), ("kv_type", c_char_p), ("kv_bytes", c_size_t),
                ("max_sequences", c_int), ("max_replies", c_int),
                ("adapters", POINTER(wen_adapter_use)), ("n_adapters", c_int),
                ("speculation", c_int), ("draft", c_void_p)]


class wen_sampling(Structure):
    _fields_ = [("temperature", c_float), ("top_p", c_float), ("min_p", c_float),
                ("top_k", c_int), ("repetition_penalty", c_float), ("presence_penalty", c_float),
                ("frequency_penalty", c_float), ("seed", c_int64),
                ("bias_ids", POINTER(c_int32)), ("bias", POINTER(c_float)), ("n_bias", c_int)]


class wen_request(Structure):
    _fields_ = [("messages", c_char_p), ("prompt", c_char_p), ("ids", POINTER(c_int32)),
                ("n_ids", c_int), ("tools", c_char_p), ("template_kwargs", c_char_p),
                ("continues_last", c_bool), ("think", c_int), ("think_budget", c_int),
                ("max_tokens", c_int), ("sampling", wen_sampling), ("stops", POINTER(c_char_p)),
                ("n_stops", c_int), ("n_logprobs", c_int), ("parses_tools", c_int),
                ("ignores_eos", c_bool), ("json_schema", c_char_p), ("regex", c_char_p),
                ("grammar", c_char_p), ("choices", POINTER(c_char_p)), ("n_choices", c_int),
                ("tool_choice", c_int), ("tool_name", c_char_p), ("makes_single_call", c_bool),
                ("cache_salt", c_char_p), ("adapters", POINTER(wen_adapter_use)),
                ("n_adapters", c_int)]


class wen_usage(Structure):
    _fields_ = [("prompt_tokens", c_int), ("cached_tokens", c_int), ("completion_tokens", c_int),
                ("reasoning_tokens", c_int), ("context_is_full", c_bool),
                ("thought_was_closed", c_bool), ("drafted_tokens", c_int),
                ("accepted_tokens", c_int), ("prefill_seconds", c_double),
                ("decode_seconds", c_double)]


class wen_top(Structure):
    _fields_ = [("id", c_int32), ("logprob", c_float)]


class wen_event(Structure):
    _fields_ = [("kind", c_int), ("text", c_void_p), ("text_bytes", c_size_t), ("call_i", c_int),
                ("id", c_int32), ("logprob", c_float), ("is_forced", c_bool),
                ("top", POINTER(wen_top)), ("n_top", c_int), ("finish", c_int), ("stop_i", c_int),
                ("usage", wen_usage), ("seed", c_int64)]


STRUCTS = [wen_error, wen_model_options, wen_adapter_use, wen_engine_options, wen_sampling,
           wen_request, wen_usage, wen_top, wen_event]

_ERROR = POINTER(wen_error)
_IDS = POINTER(c_int32)
# Name: (result, arguments).
_FUNCTIONS = {
    "wen_error_name": (c_char_p, [c_int]),
    "wen_version": (c_char_p, []),
    "wen_about": (c_void_p, []),
    "wen_free": (None, [c_void_p]),
    "wen_model_options_defaults": (wen_model_options, []),
    "wen_model_open": (c_void_p, [c_char_p, POINTER(wen_model_options), _ERROR]),
    "wen_model_close": (None, [c_void_p]),
    "wen_model_info": (c_void_p, [c_void_p, c_int, c_char_p, _ERROR]),
    "wen_adapter_open": (c_void_p, [c_void_p, c_char_p, _ERROR]),
    "wen_adapter_close": (None, [c_void_p]),
    "wen_tokenize": (c_bool, [c_void_p, c_char_p, c_size_t, c_bool, POINTER(_IDS), POINTER(c_int),
                              _ERROR]),
    "wen_detokenize": (c_void_p, [c_void_p, _IDS, c_int, c_bool, POINTER(c_size_t), _ERROR]),
    "wen_render": (c_void_p, [c_void_p, c_char_p, POINTER(c_size_t), _ERROR]),
    "wen_engine_options_defaults": (wen_engine_options, []),
    "wen_engine_open": (c_void_p, [c_void_p, POINTER(wen_engine_options), _ERROR]),
    "wen_engine_close": (None, [c_void_p]),
    "wen_engine_context": (c_int, [c_void_p]),
    "wen_request_defaults": (wen_request, []),
    "wen_ask": (c_void_p, [c_void_p, POINTER(wen_request), _ERROR]),
    "wen_finish_name": (c_char_p, [c_int]),
    "wen_next": (c_int, [c_void_p, c_int, POINTER(wen_event)]),
    "wen_cancel": (None, [c_void_p]),
    "wen_reply_free": (None, [c_void_p]),
    "wen_embed": (c_bool, [c_void_p, _IDS, c_int, POINTER(c_float), _ERROR]),
}


class WenError(Exception):
    """What libwen says about a request or a file; `code` is "io", "format", "argument", ..."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def _load():
    """The library: WEN_LIBRARY in the environment, or where the loader finds it."""
    path = os.environ.get("WEN_LIBRARY") or SONAME
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        found = ctypes.util.find_library("wen")
        if path != SONAME or not found:
            raise ImportError(f"libwen is not installed where it can be found ({error}); "
                              "set WEN_LIBRARY to its path") from error
        library = ctypes.CDLL(found)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


lib = _load()


def call(name, *arguments):
    """Calls a function that takes a wen_error * last; raises what it reports."""
    error = wen_error()
    result = getattr(lib, name)(*arguments, ctypes.byref(error))
    if not result:
        raise WenError(lib.wen_error_name(error.code).decode(),
                       error.message.decode("utf-8", "replace"))
    return result


def take_text(address, n_bytes=None):
    """The bytes that a function made for its caller, which are freed."""
    try:
        return ctypes.string_at(address) if n_bytes is None else ctypes.string_at(address, n_bytes)
    finally:
        lib.wen_free(address)


def id_array(ids):
    """Python's ids as C's."""
    return (c_int32 * max(len(ids), 1))(*ids)
