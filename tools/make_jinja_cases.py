#!/usr/bin/env python3
"""Writes tests/cases/jinja.jsonl: template snippets and what the real Jinja makes of them.

usage: tools/make_jinja_cases.py > tests/cases/jinja.jsonl

Needs Jinja 3.1 (Debian: python3-jinja2). The environment is the one that Transformers gives chat
templates: immutable sandbox, trim_blocks, lstrip_blocks, loop controls, its own tojson. Each line
is {"template", "output"} or {"template", "error": text}; the first line has the "variables"
of all.
"""
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox


def to_json(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


class Generation(jinja2.ext.Extension):
    """Stands for Transformers' generation tag: a block with a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_support", [])
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _support(self, caller):
        return caller()


ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENVIRONMENT.filters["tojson"] = to_json
ENVIRONMENT.globals["raise_exception"] = raise_exception

VARIABLES = {
    "s": "Hello, World", "e": "", "u": "héllo wörld ß 日本 😀", "nl": "\n\n a b \n\n", "n": 7,
    "z": 0, "neg": -7, "f": 2.5, "big": 1e20, "t": True, "no": None, "l": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"], "mixed": [1, "a", None, 2.5, True, [1], {"k": 1}],
    "d": {"b": 1, "a": "x", "C": [1, 2]}, "empty": {}, "none": [],
    "users": [{"name": "Bo", "age": 3, "tags": ["x"]}, {"name": "al", "age": 10, "tags": []},
              {"name": "Cy", "age": 3, "tags": ["y", "z"]}],
    "tool": {"type": "function", "function": {"name": "f<&>'", "description": "q\"\\\n\t\u0001é😀",
             "parameters": {"type": "object", "properties": {}, "x": 1.0, "y": 1e20, "z": -0.5,
                            "w": [True, False, None], "v": 12345678901234}}},
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U1"},
                 {"role": "assistant", "content": "<think>\na\n</think>\n\nb"},
                 {"role": "tool", "content": "T1"}, {"role": "tool", "content": "T2"},
                 {"role": "user", "content": "U2"}],
    "items": "shadow",
}

CASES = []


def add(*templates):
    CASES.extend(templates)


# Printing and literals.
add("{{ 1 }} {{ 1.5 }} {{ 1.0 }} {{ 'a' }} {{ \"b\" }} {{ true }} {{ True }} {{ none }} {{ None }}",
    "{{ 1e3 }} {{ 1e20 }} {{ 1e16 }} {{ 123456789012345680.0 }} {{ 1e-4 }} {{ 0.00001 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }}",
    "{{ 100000000000000.0 }} {{ 9999999999999998.0 }} {{ 1/3 }} {{ -0.0 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }}",
    "{{ 0x1F }} {{ 0o17 }} {{ 0b101 }} {{ 1_000 }} {{ 00 }}",
    "{{ [1, 'a', none, 2.0, true] }}", "{{ (1,) }} {{ (1, 2) }} {{ () }} {{ [] }} {{ {} }}",
    "{{ {'a': 1, 'b': [1, {'c': 'd'}]} }}", "{{ 'it\\'s' }} {{ ['it\\'s', 'say \"x\"', 'both \\' and \"'] }}",
    "{{ ['a\\nb\\t\\\\', 'é', '\\x00\\x7f', '\\u200b', '\\u00a0', '😀', '\\U000e0001'] }}",
    "{{ 'a' 'b' \"c\" }}", "{{ '\\x41\\u00e9\\101\\q\\n' }}", "{{ 'line\\\nnext' }}", "{{ 1, 2 }}", "{{ 1, }}",
    "{{ undefined_thing }}|{{ [undefined_thing] }}", "{{ d }} {{ l }} {{ mixed }}", "{{ u }} {{ [u] }}",
    "{{ [1, 2,] }} {{ {'a': 1,} }}", "{{ {1: 'a', 1.0: 'b', true: 'c'} }}", "{{ {(1, 2): 3} }}", "{{ {[1]: 2} }}",
    "{{ '' }}|{{ \"\" }}", "{{ big }} {{ f }} {{ neg }}", "{{ '{{' }} {{ '}}' }} {{ '%}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}")
# Arithmetic.
add("{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ -7 // -2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7 % -3 }}",
    "{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ -6.0 % 3 }} {{ 6 % -3.0 }}",
    "{{ 7 / 2 }} {{ 8 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}",
    "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 10 - 2 - 3 }} {{ 2 * 3 % 4 }} {{ -n }} {{ +n }} {{ - - 1 }} {{ --1 }}",
    "{{ true + 1 }} {{ true + true }} {{ -true }} {{ 1 + 1.5 }}", "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1.0 / 0 }}",
    "{{ 'a' + 'b' }} {{ [1] + [2] }} {{ (1,) + (2,) }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ [1] + (2,) }}", "{{ none + 1 }}",
    "{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1, 2] * 2 }} {{ 'a' * -1 }}|", "{{ 'a' - 'b' }}", "{{ -'a' }}", "{{ 'a' * 'b' }}",
    "{{ undefined_thing + 1 }}", "{{ 'x' + undefined_thing }}", "{{ -undefined_thing }}",
    "{{ 1 ~ 2 ~ 'a' ~ none ~ true ~ 1.0 ~ undefined_thing }}", "{{ 'a' ~ 1 + 2 }}", "{{ 1 + 2 ~ 3 }}", "{{ 0.1 * 3 }} {{ 1e308 * 10 }} {{ -(1e308 * 10) }}",
    "{{ 5 // 0.3 }} {{ 5 % 0.3 }} {{ 1e20 // 7 }} {{ -1 // 3.0 }} {{ 0.0 // 5 }} {{ -0.0 // 5 }}", "{{ 9007199254740993 + 0.0 }} {{ 3 / 7 }}")
# Comparison and logic.
add("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 3 > 2 >= 2 }} {{ 1 != 2 }}", "{{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 'a' < 'aa' }} {{ 'é' > 'z' }}",
    "{{ [1, 2] < [1, 3] }} {{ (1, 2) <= (1, 2) }} {{ [1] < [1, 0] }} {{ [] >= [] }}", "{{ 1 < 'a' }}", "{{ none < 1 }}", "{{ undefined_thing < 1 }}",
    "{{ none == none }} {{ none == false }} {{ '' == false }} {{ 0 == false }} {{ undefined_thing == none }} {{ undefined_thing == undefined_other }}",
    "{{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ [1, [2]] == [1, [2]] }} {{ (1,) == [1] }} {{ 'a' == 'a' }} {{ 1 == '1' }}",
    "{{ 'a' in 'abc' }} {{ '' in 'abc' }} {{ 'd' not in 'abc' }} {{ 1 in [1, 2] }} {{ 'b' in d }} {{ 'q' not in d }} {{ 1 in (2, 3) }}",
    "{{ 1 in 'abc' }}", "{{ 1 in 5 }}", "{{ 'a' in none }}", "{{ 'a' in undefined_thing }}", "{{ undefined_thing in [1] }}", "{{ [1] in {} }}",
    "{{ not true }} {{ not '' }} {{ not [] }} {{ not 0 }} {{ not 'a' }} {{ not not 1 }} {{ not 1 == 2 }} {{ not 'a' in 'b' }}",
    "{{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or 'x' }} {{ '' or none }} {{ 1 or undefined_thing.x }} {{ none and 1 }} {{ 1 and 2 or 3 }} {{ 0 or 0.0 or [] }}",
    "{{ 'y' if 1 else 'n' }} {{ 'y' if 0 else 'n' }} {{ 'y' if 0 }}| {{ 'a' if 0 else 'b' if 0 else 'c' }} {{ ('a' if 1) ~ 'b' }}",
    "{{ ('y' if 0).x }}", "{{ 1 if 1 if 0 else 2 else 3 }}", "{{ true and not false }} {{ 1 in [1] and 2 in [2] }}")
# Access and slices.
add("{{ d.a }} {{ d['a'] }} {{ d.missing }}| {{ d['missing'] }}|", "{{ d.missing.x }}", "{{ no.x }}|{{ no['x'] }}|{{ n.x }}", "{{ no.x.y }}",
    "{{ l[0] }} {{ l[-1] }} {{ l[5] }}| {{ l[-4] }}| {{ l['a'] }}| {{ l.0 }} {{ l[true] }}", "{{ s[0] }} {{ s[-1] }} {{ s[99] }}| {{ u[1] }} {{ u[-1] }}",
    "{{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[::2] }} {{ l[5:] }} {{ l[-99:99] }} {{ l[2:0:-1] }} {{ l[:] }} {{ l[1:1] }}",
    "{{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ s[-5:] }} {{ s[:-7] }} {{ s[100:] }}| {{ u[1:5] }} {{ u[::-1] }} {{ u[-3:-1] }} {{ s[none:3] }}",
    "{{ (1, 2, 3)[1:] }} {{ (1, 2, 3)[-1] }}", "{{ l[::0] }}", "{{ l['a':] }}", "{{ d[1:] }}", "{{ no[1:] }}", "{{ undefined_thing[1:] }}", "{{ undefined_thing['x'] }}",
    "{{ messages[0].role }} {{ messages[0]['role'] }} {{ messages[-1].content }} {{ messages|length }}", "{{ messages[::-1][0].content }}", "{{ d[[1]] }}|",
    "{{ l.append(4) }}", "{{ d.update({'x': 1}) }}", "{{ d.pop('a') }}", "{{ l.append is defined }} {{ d.pop is defined }} {{ d.get is defined }} {{ s.nope is defined }}",
    "{{ s.__class__ }}|{{ d.__class__ is defined }}", "{{ {'items': 1}.items is callable }} {{ {'items': 1}['items'] }} {{ {'x': 1}['items'] is callable }}", "{{ l[0:2][1] }} {{ 'abc'[1:][0] }}",
    "{{ l[9223372036854775807] }}|{{ l[-9223372036854775807:] }}{{ l[9223372036854775807:] }}{{ l[::9223372036854775807] }}{{ l[::-9223372036854775807] }}")
# Methods of strings.
add("{{ '  a b '.strip() }}|{{ '  a '.lstrip() }}|{{ '  a '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.strip('ab') }}|{{ 'éaé'.strip('é') }}|{{ nl.strip('\\n') }}|",
    "{{ '\\u2003a\\u00a0\\x1f'.strip() }}|{{ '\\u200ba'.strip() }}|{{ ''.strip() }}|{{ 'a'.strip('') }}|{{ 'a'.strip(none) }}",
    "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'abc'.split('b')[-1] }} {{ 'a b  c '.split(none, 1) }}",
    "{{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'a b c'.rsplit() }} {{ 'aXXbXXc'.rsplit('XX') }} {{ 'aaa'.rsplit('aa') }} {{ 'aaa'.split('aa') }} {{ ' a '.rsplit(none, 0) }}",
    "{{ 'a'.split('') }}", "{{ 'a\\nb\\r\\nc\\rd\\x0be\\u2028f'.splitlines() }} {{ 'a\\n\\nb\\n'.splitlines() }} {{ 'a\\nb'.splitlines(true) }} {{ ''.splitlines() }}",
    "{{ s.startswith('He') }} {{ s.startswith('x') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('l', 2) }} {{ s.endswith('l', 0, 3) }} {{ ''.startswith('') }} {{ 'a'.startswith('', 2) }}",
    "{{ s.startswith(1) }}", "{{ s.upper() }} {{ s.lower() }} {{ u.upper() }} {{ u.title() }} {{ \"they're bill's\".title() }} {{ 'hELLO wORLD'.capitalize() }} {{ 'ß'.capitalize() }} {{ 'ÀÉ'.lower() }}",
    "{{ ', '.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join([]) }}|{{ '-'.join(d) }}", "{{ ','.join([1, 2]) }}",
    "{{ s.find('o') }} {{ s.find('o', 5) }} {{ s.find('zz') }} {{ s.rfind('o') }} {{ u.find('w') }} {{ u.find('日') }} {{ s.index('W') }} {{ s.find('') }} {{ s.find('', 99) }} {{ s.rfind('') }} {{ s.find('H', -12, -11) }}",
    "{{ s.index('zz') }}", "{{ s.count('o') }} {{ 'aaaa'.count('aa') }} {{ 'abc'.count('') }} {{ 'aXbX'.count('X', 2) }}",
    "{{ s.replace('o', '0') }} {{ s.replace('l', 'L', 1) }} {{ 'abc'.replace('', '-') }} {{ 'é日'.replace('', '-') }} {{ 'abc'.replace('', '-', 2) }} {{ 'aaa'.replace('aa', 'b') }} {{ 'a'.replace('a', '', -1) }}|",
    "{{ s.replace(1, 2) }}", "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'x'.removesuffix('') }}", "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}",
    "{{ '42'.zfill(5) }} {{ '-42'.zfill(5) }} {{ 'ab'.ljust(4) }}|{{ 'ab'.rjust(4) }}| {{ ''.zfill(2) }}", "{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'aé'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \\n'.isspace() }} {{ 'AB1'.isupper() }} {{ 'ab1'.islower() }} {{ '1'.islower() }}",
    "{{ '{} {}'.format('a', 1) }} {{ '{0} {1} {0}'.format('a', 'b') }} {{ '{x}'.format(x=3) }} {{ '{{}}'.format() }} {{ '{}'.format([1, 'a']) }}", "{{ '{'.format(1) }}", "{{ '{}'.format() }}", "{{ '{0} {}'.format(1) }}",
    "{{ '%s and %d' % ('a', 3) }} {{ '%s' % 'x' }} {{ '%5.2f|%-5s|%05d|%x|%%' % (3.14159, 'ab', 42, 255) }} {{ '%r' % ('a',) }} {{ '%(k)s' % {'k': 'v'} }} {{ '%s' % none }} {{ '%s' % [1] }} {{ '%+d %e %g' % (1, 1234.5, 0.0001) }} {{ '%.3s|%5s' % ('abcdef', 'é') }}",
    "{{ '%s %s' % 'a' }}", "{{ '%s' % ('a', 'b') }}", "{{ '%d' % 'a' }}", "{{ 'abc' % 1 }}", "{{ s.nope() }}", "{{ s.strip(1) }}", "{{ s.split(',', maxsplit=1) }}", "{{ s.upper(1) }}")
# Methods of dicts and lists.
add("{{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 5) }} {{ d.keys()|list }} {{ d.values()|list }} {{ d.items()|list }}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{{ d.get([1]) }}", "{{ l.count(1) }} {{ l.index(2) }} {{ (1, 2).index(2) }}", "{{ l.index(9) }}", "{{ d.copy() == d }}", "{{ items.items() }}", "{{ d.get() }}")
# Filters on values.
add("{{ '  x '|trim }}|{{ 'xax'|trim('x') }}|{{ 5|trim }}|{{ undefined_thing|trim }}|{{ none|trim }}", "{{ s|length }} {{ u|length }} {{ l|count }} {{ d|length }} {{ undefined_thing|length }} {{ ''|length }}", "{{ 5|length }}", "{{ none|length }}",
    "{{ s|upper }} {{ s|lower }} {{ 'foo bar-baz (x) [y {z'|title }} {{ \"it's x_y\"|title }} {{ 'HELLO'|capitalize }} {{ 5|upper }} {{ none|lower }}",
    "{{ l|join }} {{ l|join(', ') }} {{ users|join(',', attribute='name') }} {{ undefined_thing|join }}| {{ 'abc'|join('-') }} {{ d|join(',') }} {{ [1, none, 'a', 2.0]|join('|') }} {{ l|join(d=';') }}", "{{ 5|join }}",
    "{{ l|first }} {{ l|last }} {{ ''|first }}| {{ 'abc'|first }} {{ 'abc'|last }} {{ []|first }}| {{ d|first }} {{ undefined_thing|first }}| {{ d|last }}", "{{ none|first }}",
    "{{ undefined_thing|default('x') }} {{ no|default('x') }} {{ no|default('x', true) }} {{ ''|d('y', boolean=true) }} {{ undefined_thing|default }}| {{ d.q|default([]) }} {{ 0|default(5) }} {{ users[9]|default('none') }}", "{{ undefined_thing.x|default('y') }}",
    "{{ '42'|int }} {{ '3.9'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 3.9|int }} {{ -3.9|int }} {{ true|int }} {{ none|int }} {{ 'ff'|int(base=16) }} {{ '0x1f'|int(0, 16) }} {{ ' 12 '|int }} {{ '1_000'|int }} {{ ''|int }} {{ [1]|int }} {{ '-7'|int }} {{ '1e3'|int }} {{ 'nan'|int(3) }}",
    "{{ undefined_thing|int }}", "{{ '3.5'|float }} {{ '3'|float }} {{ 'x'|float }} {{ 'x'|float(1.5) }} {{ 2|float }} {{ none|float }} {{ '1e3'|float }} {{ 'inf'|float }} {{ '-nan'|float }} {{ '.5'|float }} {{ '5.'|float }} {{ '1_0.5'|float }} {{ '1__0'|float }}",
    "{{ 'inf'|int }}", "{{ 5|string }} {{ none|string }} {{ [1, 'a']|string }} {{ 5|string ~ 'x' }} {{ 1.0|string }} {{ d|string }}", "{{ 'abc'|list }} {{ d|list }} {{ (1, 2)|list }} {{ undefined_thing|list }}", "{{ 5|list }}",
    "{{ 'aXbX'|replace('X', '-') }} {{ 'aXbX'|replace('X', '-', 1) }} {{ 5|replace(5, 6) }} {{ 'a'|replace('', 'x') }} {{ 'a1b'|replace(1, 2) }}",
    "{{ 42.55|round }} {{ 42.55|round(1) }} {{ 42.45|round(1, 'floor') }} {{ 42.41|round(1, 'ceil') }} {{ 2.5|round }} {{ 3.5|round }} {{ 42|round }} {{ 2.675|round(2) }} {{ 42.5|round|int }} {{ -2.5|round }} {{ 1234|round(-2) }} {{ 1250.0|round(-2) }} {{ 7|round(0, 'ceil') }}", "{{ 1.5|round(1, 'x') }}",
    "{{ -5|abs }} {{ (-5)|abs }} {{ 2.5|abs }} {{ (-2.5)|abs }} {{ true|abs }}", "{{ 'a'|abs }}", "{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent(2, blank=true) }}|{{ 'a\\nb'|indent('> ') }}|{{ ''|indent }}|{{ 'a\\n'|indent }}|{{ 'a\\nb'|indent(width=1, first=true) }}", "{{ 5|indent }}",
    "{{ '%s-%s'|format('a', 2) }} {{ '%(a)s'|format(a=1) }} {{ 'x'|format }}", "{{ '<a>'|safe }} {{ 5|safe }}", "{{ s|nosuchfilter }}", "{{ s|upper(1) }}", "{{ s|replace('a') }}", "{{ s|default(nosuch=1) }}", "{{ s|trim|upper|replace('O', 'x')|length }}", "{{ -1|abs }} {{ 'a'~'b'|upper }} {{ 1 + '2'|int }}", "{{ ('a' ~ 'b')|upper }} {{ [1, 2]|length + 1 }} {{ not []|length }}")
# Filters on sequences.
add("{{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ words|sort(reverse=true) }} {{ l|sort }} {{ l|sort(true) }} {{ d|sort }} {{ 'bca'|sort }} {{ [[2, 1], [1, 2]]|sort }}", "{{ mixed|sort }}", "{{ users|sort(attribute='age')|map(attribute='name')|join(',') }} {{ users|sort(attribute='age,name')|map(attribute='name')|list }} {{ users|sort(attribute='name', reverse=true)|map(attribute='name')|join }}",
    "{{ d|dictsort }} {{ d|dictsort(true) }} {{ {'a': 2, 'b': 1}|dictsort(by='value') }} {{ {'a': 2, 'b': 1}|dictsort(reverse=true) }} {{ {'a': 2}|dictsort(false, 'key', false) }}", "{{ d|dictsort(by='x') }}", "{{ l|dictsort }}",
    "{{ words|unique|list }} {{ words|unique(true)|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ users|unique(attribute='age')|map(attribute='name')|list }}", "{{ [[1]]|unique|list }}", "{{ l|reverse|list }} {{ 'abc'|reverse }} {{ (1, 2)|reverse|list }} {{ d|reverse|list }}", "{{ 5|reverse }}",
    "{{ l|min }} {{ l|max }} {{ words|min }} {{ words|max }} {{ []|min }}| {{ users|max(attribute='age') }} {{ [1, 2.5]|max }} {{ words|max(case_sensitive=true) }} {{ 'hello'|max }}", "{{ [1, 'a']|max }}", "{{ l|sum }} {{ users|sum(attribute='age') }} {{ [1.5, 2]|sum(start=10) }} {{ []|sum }} {{ [[1], [2]]|sum(start=[]) }}", "{{ ['a']|sum }}", "{{ [1.5, 'a']|sum }}",
    "{{ words|map('upper')|list }} {{ l|map('string')|join('-') }} {{ users|map(attribute='tags')|list }} {{ users|map(attribute='tags.0')|list }} {{ users|map(attribute='nope', default='?')|list }} {{ words|map('replace', 'a', '_')|list }} {{ [[1, 2], [3]]|map('first')|list }} {{ [[1, 2]]|map(attribute=1)|list }} {{ [' a ']|map('trim')|list }}", "{{ l|map|list }}", "{{ none|map('upper')|list }}{{ none|select|list }}{{ 0|rejectattr('a')|list }}{{ undefined_thing|map(attribute='x')|list }}", "{{ l|map('nosuch')|list }}",
    "{{ l|select('odd')|list }} {{ l|reject('odd')|list }} {{ mixed|select('string')|list }} {{ mixed|select|list }} {{ mixed|reject|list }} {{ l|select('gt', 1)|list }} {{ l|select('in', [1, 3])|list }} {{ l|select('divisibleby', 3)|list }} {{ l|select('greaterthan', 2)|list }} {{ l|select('==', 2)|list }}", "{{ l|select('nosuch')|list }}",
    "{{ users|selectattr('tags')|map(attribute='name')|list }} {{ users|rejectattr('tags')|map(attribute='name')|list }} {{ users|selectattr('age', 'equalto', 3)|map(attribute='name')|list }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'in', ['user', 'tool'])|map(attribute='role')|join(',') }} {{ users|selectattr('nope', 'defined')|list }}",
    "{% for k, v in d|items %}{{ k }}:{{ v }} {% endfor %}{{ empty|items|list }}{{ undefined_thing|items|list }}", "{{ l|items|list }}", "{{ messages|map(attribute='content')|select('ne', 'S')|first }}", "{{ (messages|last).content }} {{ messages|selectattr('role', 'eq', 'tool')|map(attribute='content')|join(' ') }}")
# tojson.
add("{{ tool|tojson }}", "{{ tool|tojson(indent=2) }}", "{{ tool|tojson(indent=4, sort_keys=true) }}", "{{ tool|tojson(true) }}", "{{ [1, 'é😀\\x7f\\x1f', 1.5]|tojson(ensure_ascii=true) }}", "{{ tool|tojson(separators=(',', ':')) }}", "{{ tool|tojson(indent=1, separators=(', ', ' : ')) }}", "{{ [[], {}, [[]], {'a': []}]|tojson(indent=2) }}", "{{ [1]|tojson(indent='--') }} {{ [1]|tojson(indent=0) }}",
    "{{ 'x'|tojson }} {{ 1|tojson }} {{ 1.0|tojson }} {{ 1e20|tojson }} {{ none|tojson }} {{ true|tojson }} {{ [1, (2, 3)]|tojson }} {{ 1e-7|tojson }} {{ 'inf'|float|tojson }} {{ 'nan'|float|tojson }} {{ (0 - 'inf'|float)|tojson }}", "{{ {1: 2, true: 3, none: 4, 1.5: 5}|tojson }}", "{{ {(1, 2): 3}|tojson }}", "{{ undefined_thing|tojson }}", "{{ [undefined_thing]|tojson }}", "{{ s|tojson|tojson }} {{ '</script>&\\''|tojson }}", "{{ d|tojson|upper }} {{ 'a\\u2028b'|tojson }}", "{{ {'b': {'z': 1, 'y': 2}, 'a': 1}|tojson(sort_keys=true) }}")
# Tests.
add("{{ s is defined }} {{ undefined_thing is defined }} {{ undefined_thing is undefined }} {{ d.q is defined }} {{ no is defined }} {{ no is none }} {{ undefined_thing is none }} {{ s is not none }}", "{{ undefined_thing.x is defined }}",
    "{{ s is string }} {{ 5 is string }} {{ 5 is number }} {{ 5.0 is number }} {{ true is number }} {{ 's' is number }} {{ 5 is integer }} {{ true is integer }} {{ 5.0 is float }} {{ 5 is float }} {{ true is boolean }} {{ 0 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}",
    "{{ d is mapping }} {{ l is mapping }} {{ l is iterable }} {{ 5 is iterable }} {{ s is iterable }} {{ undefined_thing is iterable }} {{ none is iterable }} {{ [] is sequence }} {{ s is sequence }} {{ d is sequence }} {{ 5 is sequence }} {{ undefined_thing is sequence }} {{ no is sequence }} {{ (1,) is sequence }}",
    "{{ 3 is odd }} {{ 4 is even }} {{ -3 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 2.0 is even }}", "{{ 's' is odd }}", "{{ undefined_thing is odd }}", "{{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is gt 1 }} {{ 2 is le 2 }} {{ 2 is ge 3 }} {{ 1 is lessthan 2 }} {{ 1 is sameas 1 }} {{ 1 is sameas true }} {{ 1 is in [1] }} {{ 1 is not in [1] }} {{ 'a' is in 'abc' }}",
    "{{ 'ab' is lower }} {{ 'AB' is upper }} {{ 'aB' is lower }} {{ '1' is upper }} {{ 5 is lower }}", "{{ range is callable }} {{ s is callable }} {{ s.upper is callable }} {{ undefined_thing is callable }}", "{{ 'upper' is filter }} {{ 'nosuch' is filter }} {{ 'odd' is test }} {{ 'nosuch' is test }}", "{{ s is nosuch }}", "{{ s is string and n is number }} {{ s is string is true }}", "{{ not s is string }} {{ s is not string }} {{ (s is string) is true }}", "{{ 'a' if s is string else 'b' }} {{ s is string or 1 }} {{ l[0] is number }} {{ s is defined and s }}", "{{ 2 is eq 1 + 1 }}|{{ 5 is divisibleby n - 2 }}")
# If, for, loop.
add("{% if 1 %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}", "{% if l %}L{% endif %}{% if empty %}E{% endif %}{% if undefined_thing %}U{% endif %}{% if not undefined_thing %}N{% endif %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ x }} {% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}{% for x in undefined_thing %}a{% else %}none{% endfor %}", "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }} {% else %}e{% endfor %}", "{% for x in l if x > 9 %}{{ x }}{% else %}e{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}", "{% for x in l %}{{ loop.previtem.a }}{% endfor %}", "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2, 2] %}{{ loop.changed(x) }}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %}", "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}", "{% for a, b in [1] %}{{ a }}{% endfor %}", "{% for (a, b) in d.items() %}{{ a }}{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}{% for c in 'héy' %}{{ c }}.{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}|{{ none }}", "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endfor %}{{ x }}{% else %}e{% endfor %}", "{% for x in [1] %}{% for y in [] %}{% else %}{% break %}{% endfor %}never{% endfor %}ok",
    "{% break %}", "{% for i in range(3) %}{{ i }}{% endfor %}{{ range(1, 4)|list }}{{ range(5, 0, -2)|list }}{{ range(0)|list }}{{ range(2, 2)|list }}", "{{ range(1, 2, 0) }}", "{{ range(200000)|list|length }}", "{{ range('a') }}", "{% for m in messages[::-1] %}{% set i = (messages|length - 1) - loop.index0 %}{{ i }}{{ m.role }} {% endfor %}", "{% for m in messages if m.role == 'tool' %}{{ loop.first }}{{ m.content }}{{ loop.last }};{% endfor %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for x in l if x is odd and x > 1 %}{{ x }}{% endfor %}", "{% for x in (l if 1 else []) %}{{ x }}{% endfor %}", "{{ loop }}|", "{% for x in l %}{{ loop.nosuch }}|{% endfor %}", "{% for x in l %}{% if loop.last or (messages[loop.index0 + 1].role != 'tool') %}y{% else %}n{% endif %}{% endfor %}", "{% for x in l if loop.first %}{% endfor %}",
    "{% set ns = namespace(k=1) %}{% for x in [1, 2, 3, 4] if x > ns.k %}{% set ns.k = ns.k + 1 %}{{ x }}{% endfor %}", "{% for x in [1, 2, 3] %}{{ x }}{{ ', ' if not loop.last }}{% endfor %}")
# Set, scope, namespace.
add("{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}", "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "{% set x = 1 %}{% if 1 %}{% set x = 2 %}{% endif %}{{ x }}", "{% for i in l %}{{ y }}{% set y = i %}{{ y }}{% endfor %}{{ y }}|", "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set x %}hi {{ n }}{% endset %}{{ x }}|{{ x|length }}", "{% set x | upper | replace('H', 'J') %}hi{% endset %}{{ x }}", "{% set x %}{% set q = 5 %}{{ q }}{% endset %}{{ x }}{{ q }}|",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}|{{ ns['a'] }}", "{% set ns = namespace(found=false, x='y') %}{% for i in l %}{% if i == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}{{ ns.x }}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}", "{% set d.x = 1 %}", "{% set nosuch.x = 1 %}", "{% set ns = namespace() %}{% set ns.t %}block{% endset %}{{ ns.t }}", "{{ namespace(a=1) }}", "{% set ns = namespace(l=[]) %}{% for i in l %}{% set ns.l = ns.l + [i * 2] %}{% endfor %}{{ ns.l }}", "{% set x = 'a' if 0 else 'b' %}{{ x }}", "{% set x = 1, 2 %}{{ x }}", "{% set true = 1 %}", "{% set messages = messages[1:] %}{{ messages|length }}", "{% for m in messages %}{% set m = m.role %}{{ m[0] }}{% endfor %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}|", "{% set a = 5 %}{% with a = 1 %}{% set a = 2 %}{{ a }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}|", "{{ dict(a=1, b='x') }} {{ dict({'q': 1}, a=2) }}", "{% set x = namespace(a=1) %}{% set y = x %}{% set y.a = 2 %}{{ x.a }}", "{% generation %}{% set z9 = 1 %}{{ z9 }}{% endgeneration %}{{ z9 }}|", "{% for x in l %}{%- generation -%} {{ x }} {%- endgeneration -%} {% endfor %}")
# Macros, calls, filter blocks.
add("{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(q=2) }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ late }}{% endmacro %}{% set late = 5 %}{{ m() }}", "{% macro m() %}{% set inner = 1 %}{% endmacro %}{{ m() }}{{ inner }}|", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(x) -%} {{ x }} {%- endmacro %}{{ m('a') ~ m('b') }} {{ m('c')|upper }} {{ m('abc')|length }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}", "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}", "{{ nosuch() }}", "{{ s() }}", "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}", "{% macro m(l) %}{% for i in l %}{{ caller(i) }};{% endfor %}{% endmacro %}{% call(x) m([1, 2]) %}x={{ x }}{% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}a{% endmacro %}{% call m() %}{% endcall %}", "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aac{% endfilter %}", "{% for i in l %}{% macro q(x) %}{{ x }}{{ i }}{% endmacro %}{{ q('-') }}{% endfor %}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'a': 2}) }}", "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}{{ m.name }}", "{% macro rec() %}{{ rec() }}{% endmacro %}{{ rec() }}", "{% macro a(x) %}{% if x is mapping %}{% for k in x %}{{ k }}:{{ a(x[k]) }} {% endfor %}{% else %}{{ x }}{% endif %}{% endmacro %}{{ a({'p': {'q': 1}, 'r': 2}) }}")
# White space control.
add("a\n  {% if 1 %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if 1 -%}\n  b\n  {%- endif -%}\nc\n", "a {%+ if 1 %} b {% endif +%}\nc", "  {%+ if 1 %}x{% endif %}\n  y", "a\n{{ 1 }}\nb\n\n", "a\n   {{- 1 -}}   \nb", "  {{ 1 }}  \n  {{ 2 }}", "{# comment #}\nx{# c #} y\n  {# z #}\nw", "a {#- c -#} b", "{% raw %}{{ x }} {% if %}{% endraw %}", "a {%- raw -%} {{ x }} {%- endraw -%} b", "{% raw %}\n  {{ x }}\n  {% endraw %}\ny", "{% raw -%}\n  q{% endraw +%}\nz", "{%- set x = 1 -%}\n\n  {{ x }}", "{% if 1 %}a{% endif %}\n\nb", "a\r\nb\rc\n", "{% set x = 'a\r\nb' %}{{ x|length }}", "x\n\n\n", "x {% if 1 %}  \n y {% endif %} z", "\n\n{% if 1 %}\n\n\nq{% endif %}", "{{ 'a' }}\n{{ 'b' }}", "{% for x in l %}\n{{ x }}\n{% endfor %}\nend", "{% for x in l -%}\n  {{ x }}\n{%- endfor %}", "a\u3000{%- if 1 %}b{% endif %}", "\t {% if 1 %}b{% endif %}", "{{- ' a ' -}}", "x{# #}\n{# #}\n  {# #}  y", "{#\n multi\n #}z", "a{##}b", "{#-#}b", "{#--#} b", "{{ 1 }}{% if 1 %}\n{% endif %}\n", "}} %} #} { % {", "{", "a{", "{{'{'}}{", "{% if 1 -%} x {%- endif %} y", "a\n\n  {%- if 1 %}\n    b\n  {%- endif %}\n\n  c", "{{ 1 -}}\n\n x", "{% set x %}\n  a\n{% endset %}[{{ x }}]", "x  {%-  if 1  -%}  y  {%-  endif  -%}  z", "{% if 1 %}{# c #}\n{% endif %}x", "{%+ set x = 1 +%}\n{{ x }}")
# Syntax errors.
add("{{ }}", "{{ 1 +", "{% if %}{% endif %}", "{% if 1 %}", "{% endif %}", "{% for x %}{% endfor %}", "{% nosuch %}", "{{ 1 2 }}", "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{{ [1, 2 }}", "{# never", "{% raw %} x", "{% set x %}", "{% set 1 = 2 %}", "{{ a b }}", "{{ 1 | }}", "{{ x is }}", "{{ $ }}", "{{ a..b }}", "{{ a. }}", "{% macro %}{% endmacro %}", "{% if 1 %}{% else %}{% elif 1 %}{% endif %}", "{{ {1} }}", "{{ f(a=1, 2) }}", "{{ f(,) }}", "{% block x %}y{% endblock %}{% include 'z' %}", "{% extends 'z' %}", "{% do l %}", "{{ x if }}", "{{ 'a' 1 }}", "{{ l[1 }}", "{% for x in l %}{% endif %}{% endfor %}", "{{ not }}", "{{ 1 if 2 else }}", "{{ '\\x4' }}", "{{ 'a' is string is }}", "{{ * }}", "{{ 1 == }}", "{{ == 1 }}")
# raise_exception and what templates do around it.
add("{{ raise_exception('no way: ' ~ n) }}", "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}", "{{ raise_exception() }}")
# Pieces of real templates.
add("{%- set content = messages[2].content %}{{ content.split('</think>')[-1].lstrip('\\n') }}|{{ content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}", "{%- for message in messages %}{%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}", "{%- for m in messages %}{%- if m.role == 'tool' %}{%- if loop.first or (messages[loop.index0 - 1].role != 'tool') %}[{% endif %}{{ m.content }}{%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}]{% endif %}{%- endif %}{%- endfor %}", "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ add_generation_prompt }}", "{%- if enable_thinking is defined and enable_thinking is false %}off{%- else %}on{%- endif %}", "{{ bos_token }}{{ messages[0]['content'] }}", "{%- if messages[0].content is string %}{% set c = messages[0].content %}{%- else %}{% set c = '' %}{% endif %}{{ c }}", "{% set loop_messages = messages[1:] if messages[0]['role'] == 'system' else messages %}{{ loop_messages|length }}", "{%- for message in messages[1:] %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}x{% endif %}{% endfor %}", "{{ '<tool>' ~ (tool.function | tojson | safe) ~ '</tool>' }}", "{%- for k in tool.function if k not in ['name'] %}{{ k }},{% endfor %}", "{%- set args = tool.function.parameters %}{%- for name, value in args|items %}{%- set value = value | tojson | safe if value is mapping or (value is sequence and value is not string) else value | string %}{{ name }}={{ value }};{% endfor %}", "{{ messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | first | default('none') }}", "{% for t in [tool] %}{{ t.function.name }}({% for p in t.function.parameters.properties %}{{ p }}{% endfor %}){{ t.function.parameters.required | default([]) | join(', ') }}{% endfor %}", "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}{{ ns.last_query_index }}")


def main():
    sys.stdout.write(json.dumps({"variables": VARIABLES}, ensure_ascii=False) + "\n")
    for template in CASES:
        row = {"template": template}
        try:
            row["output"] = ENVIRONMENT.from_string(template).render(**VARIABLES)
        except RecursionError:
            row["error"] = "RecursionError"
        except Exception as error:  # whatever the template does, its error is the result
            row["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


main()
