"""The Python package's tests; prints TAP. usage: python_tests.py TEMPORARY-FOLDER"""

import doctest
import os
import subprocess
import sys
import threading
import unittest

import wen
import wen.model
import wen.tokenizer
from wen import _library

MODEL = "models/wen.gguf"
TEMPORARY = sys.argv[1]
HELLO = [{"role": "user", "content": "Hello!"}]


class Layout(unittest.TestCase):
    def test_structs_are_those_of_the_header(self):
        """Every field's offset and size, and every struct's, as a C compiler sees them."""
        lines, expected = [], []
        for struct in _library.STRUCTS:
            name = struct.__name__
            lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
            expected.append(f"{name} {_library.ctypes.sizeof(struct)}")
            for field, _ in struct._fields_:
                lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), '
                             f"sizeof((({name} *)0)->{field}));")
                place = getattr(struct, field)
                expected.append(f"{name}.{field} {place.offset} {place.size}")
        source, program = os.path.join(TEMPORARY, "layout.c"), os.path.join(TEMPORARY, "layout")
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <stdio.h>\n#include <wen.h>\nint main(void)\n{\n"
                       + "\n".join(lines) + "\nreturn 0;\n}\n")
        subprocess.run(["cc", "-Iinclude", source, "-o", program], check=True)
        found = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        self.assertEqual(found.splitlines(), expected)


class Package(unittest.TestCase):
    def test_version_is_the_library_s(self):
        with open("python/pyproject.toml", encoding="utf-8") as file:
            self.assertIn(f'version = "{wen.__version__}"', file.read())


class Text(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = wen.AutoTokenizer.from_pretrained(MODEL)

    def test_round_trip(self):
        for text in ["", "Hello, world", "你好，世界 👋", "a\x00b", "tab\tand\nline"]:
            self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

    def test_special_tokens(self):
        end = self.tokenizer.encode("<|im_end|>")
        self.assertEqual(len(end), 1)
        self.assertIn(end[0], self.tokenizer.eos_token_ids)
        self.assertGreater(len(self.tokenizer.encode("<|im_end|>", split_special_tokens=True)), 1)
        self.assertEqual(self.tokenizer.decode(end, skip_special_tokens=True), "")
        self.assertEqual(self.tokenizer.decode(end[0]), "<|im_end|>")

    def test_call(self):
        both = self.tokenizer(["a b", "c"])
        self.assertEqual(both["input_ids"], [self.tokenizer.encode("a b"),
                                             self.tokenizer.encode("c")])
        self.assertEqual([len(m) for m in both["attention_mask"]],
                         [len(i) for i in both["input_ids"]])
        self.assertEqual(self.tokenizer("c")["input_ids"], both["input_ids"][1])

    def test_chat_template(self):
        text = self.tokenizer.apply_chat_template(HELLO, tokenize=False,
                                                  add_generation_prompt=True)
        self.assertEqual(text, "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n")
        self.assertEqual(
            self.tokenizer.apply_chat_template(HELLO, tokenize=False),
            "<|im_start|>user\nHello!<|im_end|>\n")
        self.assertEqual(
            self.tokenizer.apply_chat_template(HELLO, tokenize=False, add_generation_prompt=True,
                                               enable_thinking=False),
            text + "<think>\n\n</think>\n\n")
        self.assertEqual(
            self.tokenizer.apply_chat_template(HELLO, add_generation_prompt=True),
            self.tokenizer.encode(text))

    def test_tools_are_rendered(self):
        tool = {"type": "function", "function": {"name": "get_time", "parameters": {}}}
        text = self.tokenizer.apply_chat_template(HELLO, tools=[tool], tokenize=False)
        self.assertIn("get_time", text)

    def test_errors(self):
        with self.assertRaises(wen.WenError) as caught:
            wen.Tokenizer.from_pretrained("no-such-file.gguf")
        self.assertIn("no-such-file.gguf", str(caught.exception))
        self.assertEqual(caught.exception.code, "io")
        with self.assertRaises(wen.WenError):
            self.tokenizer.decode([10**9])


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = wen.AutoModelForCausalLM.from_pretrained(MODEL, context=2048)
        cls.tokenizer = cls.model.tokenizer

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def test_generate_appends(self):
        ids = self.tokenizer.apply_chat_template(HELLO, add_generation_prompt=True)
        output = self.model.generate(ids, max_new_tokens=5, seed=1)
        self.assertEqual(output[:len(ids)], ids)
        self.assertLessEqual(len(output) - len(ids), 6)
        self.assertGreater(len(output), len(ids))
        self.assertEqual(self.model.generate({"input_ids": ids}, max_new_tokens=5, seed=1), output)

    def test_batch_is_one_by_one(self):
        prompts = [self.tokenizer.encode(text) for text in ("One, two,", "The", "A b c d")]
        batch = self.model.generate(prompts, max_new_tokens=8, do_sample=False)
        alone = [self.model.generate(ids, max_new_tokens=8, do_sample=False) for ids in prompts]
        self.assertEqual(batch, alone)

    def test_generated_ids_are_the_chat(self):
        ids = self.tokenizer.apply_chat_template(HELLO, add_generation_prompt=True,
                                                 enable_thinking=False)
        output = self.model.generate(ids, max_new_tokens=64, temperature=0)
        reply = self.model.chat(HELLO, enable_thinking=False, max_new_tokens=64, temperature=0)
        text = self.tokenizer.decode(output[len(ids):], skip_special_tokens=True)
        self.assertEqual(text.strip(), reply.content.strip())
        self.assertNotEqual(reply.content.strip(), "")

    def test_stream_is_the_reply(self):
        whole = self.model.chat(HELLO, seed=4, max_new_tokens=100)
        stream = self.model.chat(HELLO, seed=4, max_new_tokens=100, stream=True)
        chunks = list(stream)
        self.assertEqual("".join(c.text for c in chunks if c.kind == "content"), whole.content)
        self.assertEqual("".join(c.text for c in chunks if c.kind == "thinking"), whole.thinking)
        self.assertEqual(stream.reply, whole)
        self.assertEqual(whole.seed, 4)
        self.assertGreater(whole.completion_tokens, 0)
        self.assertEqual(whole.message(), {"role": "assistant", "content": whole.content})

    def test_thinking_switch(self):
        self.assertEqual(self.model.chat(HELLO, enable_thinking=False, seed=1).thinking, "")
        self.assertGreater(self.model.chat(HELLO, enable_thinking=True, seed=1).thinking_tokens, 0)

    def test_forms(self):
        reply = self.model.chat(HELLO, choices=["red", "green"], enable_thinking=False)
        self.assertIn(reply.content, ["red", "green"])
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
                  "additionalProperties": False}
        reply = self.model.chat(HELLO, json_schema=schema, enable_thinking=False,
                                max_new_tokens=100)
        self.assertRegex(reply.content, r'^\{\s*"n":\s*-?[0-9]+')

    def test_stop_text(self):
        reply = self.model.chat([{"role": "user", "content": "What is 2 + 3?"}],
                                enable_thinking=False, temperature=0)
        first = reply.content.strip()[0]
        stopped = self.model.chat([{"role": "user", "content": "What is 2 + 3?"}],
                                  enable_thinking=False, temperature=0, stop=[first])
        self.assertEqual(stopped.content.strip(), "")
        self.assertEqual(stopped.finish_reason, "stop")

    def test_cancel(self):
        stream = self.model.chat(HELLO, stream=True)
        stream.cancel()
        self.assertIn(stream.read().finish_reason, ["cancelled", "stop", "length"])
        self.model.chat(HELLO, stream=True).close()

    def test_embed(self):
        one, two = self.model.embed(["a cat", "the sky"])
        self.assertEqual(len(one), self.model.info["d_model"])
        self.assertAlmostEqual(sum(x * x for x in one), 1, places=4)
        self.assertEqual(self.model.embed("a cat"), one)
        self.assertNotEqual(one, two)

    def test_threads(self):
        alone = self.model.chat(HELLO, seed=2, max_new_tokens=24).content
        together = []
        threads = [threading.Thread(target=lambda: together.append(
            self.model.chat(HELLO, seed=2, max_new_tokens=24).content)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, [alone] * 4)

    def test_errors(self):
        with self.assertRaises(TypeError):
            self.model.chat(HELLO, heat=1)
        with self.assertRaises(wen.WenError) as caught:
            self.model.generate([])
        self.assertTrue(str(caught.exception))
        with self.assertRaises(wen.WenError):
            self.model.chat(HELLO, grammar="root ::= (")

    def test_close(self):
        with wen.Model.from_pretrained(MODEL, context=256) as model:
            stream = model.chat(HELLO, stream=True)
        self.assertEqual(stream.read().finish_reason, "cancelled")
        with self.assertRaises(ValueError):
            model.chat(HELLO)


class Tap(unittest.TextTestResult):
    """A line for each test, as tests/run counts them."""

    count = 0

    def line(self, test, ok, why=""):
        Tap.count += 1
        print(f"{'ok' if ok else 'not ok'} {Tap.count} - {test.id().removeprefix('__main__.')}")
        for text in why.splitlines():
            print("# " + text)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(test, True)

    def addError(self, test, err):
        super().addError(test, err)
        self.line(test, False, self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line(test, False, self._exc_info_to_string(err, test))


def load_tests(loader, tests, pattern):
    """The examples in docstrings, too."""
    for module in (wen.tokenizer, wen.model):
        tests.addTests(doctest.DocTestSuite(module, extraglobs={
            "Tokenizer": wen.Tokenizer, "Model": wen.Model}))
    return tests


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        result = unittest.TextTestRunner(stream=nowhere, resultclass=Tap).run(suite)
    print(f"1..{Tap.count}")
    sys.exit(not result.wasSuccessful())
