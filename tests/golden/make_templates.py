"""Makes tests/golden/text/templates/*.json: what jinja2 renders (null: it refuses), for whole templates and for many
small cases.

    python tests/golden/make_templates.py      (Jinja2 3.1.6)
"""
import json
import pathlib

from jinja_environment import environment, variable_sets

HERE = pathlib.Path(__file__).with_name("text") / "templates"
SETS = ["one, prompt", "system, tools, prompt", "turns", "thought", "reasoned, prompt", "call, tools", "calls, tools, prompt",
        "string call", "parts", "starts with assistant, prompt", "empty", "not thinking"]

VARIABLES = {"s": "Hello, wörld", "n": 7, "m": -3, "x": 2.5, "t": True, "no": None, "empty": "", "xs": [3, 1, 2, 3],
             "words": ["b", "A", "c", "a"], "d": {"b": 1, "a": [1, "two", None], "items": 5},
             "people": [{"name": "Zoe", "age": 3, "tags": {"k": "v"}}, {"name": "adam", "age": 1},
                        {"name": "Eve", "age": 2, "tags": {}}], "quote": "it's \"q\" \\ \n\t\u00e9\u2028\u0007",
             "lines": "a\nb\r\n\nc\n", "spaced": " \u00a0x y\t\n ", "emoji": "a\U0001f600b"}

# What matters is on the left of each line; most come in the shapes that model templates use.
CASES = r"""
{{ 1 + 2 * 3 - 4 }}|{{ (1 + 2) * 3 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 7 / 2 }}|{{ 2 ** 3 ** 2 }}|{{ -2 ** 2 }}
{{ 1.0 }}|{{ 0.1 + 0.2 }}|{{ 1e16 }}|{{ 1e15 }}|{{ 1.5e-5 }}|{{ 0.0001 }}|{{ 1e300 * 10 }}|{{ 100.0 }}|{{ 2.5 // 1 }}|{{ -2.5 % 1 }}
{{ x * n }}|{{ n / 7 }}|{{ m - n }}|{{ t + 1 }}|{{ +m }}|{{ -m }}|{{ 1_000 }}
{{ 1 // 0 }}
{{ 1 / 0 }}
{{ 1 + 'a' }}
{{ 'a' + 'b' ~ 1 ~ none ~ true ~ 1.5 }}|{{ 'ab' * 3 }}|{{ [1] * 2 + [2] }}|{{ 'a' 'b' }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 'a' < 'b' }}|{{ 'Z' < 'a' }}|{{ [1, 2] < [1, 3] }}|{{ 1 == 1.0 }}|{{ 1 == true }}|{{ '1' == 1 }}
{{ 1 < 'a' }}
{{ undefined_thing < 1 }}
{{ not true or true }}|{{ not (true or true) }}|{{ false and x.y.z }}|{{ 'a' or 'b' }}|{{ '' or 'b' }}|{{ 0 or none }}|{{ 1 and 2 }}
{{ 'x' if false }}|{{ 'x' if t else 'y' }}|{{ 'a' if false else 'b' if false else 'c' }}|{{ (1 if t else 2) + 1 }}
{{ 'ell' in s }}|{{ 3 in xs }}|{{ 9 not in xs }}|{{ 'a' in d }}|{{ 'z' in d }}|{{ not 'a' in d }}|{{ 'a' in nothing }}
{{ 1 in no }}
{{ s[0] }}|{{ s[-1] }}|{{ s[8] }}|{{ s[1:4] }}|{{ s[::-1] }}|{{ s[:-2] }}|{{ s[99] }}|{{ s[5:99] }}|{{ s[::2] }}|{{ emoji[1] }}|{{ emoji[2:] }}
{{ xs[0] }}|{{ xs[-1] }}|{{ xs[1:] }}|{{ xs[::-1] }}|{{ xs[:0] }}|{{ xs[9] }}|{{ xs[-2:] }}|{{ xs[3:0:-2] }}|{{ xs.0 }}
{{ d.b }}|{{ d['a'] }}|{{ d.zzz }}|{{ d['items'] }}|{{ d.items() | list }}|{{ d.keys() | list }}|{{ d.values() | list }}|{{ d.get('b') }}|{{ d.get('z') }}|{{ d.get('z', 4) }}
{{ d.zzz.y }}
{{ nothing }}|{{ nothing is defined }}|{{ nothing | default('dflt') }}|{{ empty | default('e') }}|{{ empty | default('e', true) }}|{{ no | default('n', boolean=true) }}|{{ d.zzz | default }}
{{ nothing.x }}
{{ nothing() }}
{{ s() }}
{{ [1, 'two', none, true, 1.5, [], {}, {'k': "v"}] }}|{{ (1,) }}|{{ (1, 'a') }}|{{ () }}|{{ 1, 2 }}
{{ quote }}|{{ [quote] }}|{{ ["it's", 'say "x"', 'bo\'th"'] }}|{{ [emoji, 'é', '\x7f', '\u200b'] }}
{{ quote | tojson }}|{{ d | tojson }}|{{ [1.0, 1e20, none, true, 'ü'] | tojson }}|{{ 'ü\U0001f600' | tojson(ensure_ascii=true) }}
{{ d | tojson(indent=2) }}|{{ [] | tojson(indent=2) }}|{{ {} | tojson(indent=4) }}|{{ d | tojson(separators=(',', ':')) }}|{{ d | tojson(sort_keys=true) }}|{{ people | tojson(indent='\t') }}
{{ '<a href="x">&\'' | tojson }}|{{ (1, 2) | tojson }}|{{ 'a/b' | tojson }}
{{ nothing | tojson }}
{{ s | upper }}|{{ s | lower }}|{{ s | title }}|{{ 'hELLO wORLD' | capitalize }}|{{ s.upper() }}|{{ 'straße' | upper }}|{{ "they're bill's" .title() }}
{{ '[' ~ spaced | trim ~ ']' }}|{{ '[' ~ spaced.strip() ~ ']' }}|{{ '[' ~ spaced.lstrip() ~ ']' }}|{{ '[' ~ spaced.rstrip() ~ ']' }}|{{ 'xxaxx'.strip('x') }}|{{ 'xyaxy' | trim('yx') }}|{{ 5 | trim }}
{{ s.split(', ') }}|{{ s.split(',')[0] }}|{{ ' a  b '.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ' a b  c '.split(none, 1) }}|{{ ''.split() }}|{{ ''.split(',') }}
{{ 'a'.split('') }}
{{ s.startswith('He') }}|{{ s.endswith('x') }}|{{ s.startswith(('x', 'H')) }}|{{ s.find('wö') }}|{{ s.find('zz') }}|{{ s.rfind('l') }}|{{ s.count('l') }}
{{ s.replace('l', 'L') }}|{{ s.replace('l', 'L', 1) }}|{{ s | replace('o', '0') }}|{{ 'ab'.replace('', '-') }}|{{ 'aaa' | replace('a', 'b', 2) }}
{{ ', '.join(words) }}|{{ words | join('-') }}|{{ xs | join }}|{{ people | join(',', attribute='name') }}|{{ nothing | join(',') }}
{{ ', '.join(xs) }}
{{ lines.splitlines() }}|{{ '12'.isdigit() }}|{{ ''.isdigit() }}|{{ 'ab'.isalpha() }}|{{ 'a1'.isalnum() }}|{{ ' '.isspace() }}|{{ 'prefix'.removeprefix('pre') }}|{{ 'suffix'.removesuffix('fix') }}
{{ '{} and {1}'.format('a', 'b') }}
{{ '{} {}'.format('a', 'b') }}|{{ '{0}{0}{x}'.format('a', x=1) }}|{{ '{{}}'.format() }}|{{ '%s=%d %%' % ('a', 5) }}|{{ '%s' % 'q' }}|{{ 'n: %s' % none }}
{{ xs | length }}|{{ s | length }}|{{ d | count }}|{{ nothing | length }}|{{ emoji | length }}
{{ 5 | length }}
{{ xs | first }}|{{ xs | last }}|{{ [] | first }}|{{ s | first }}|{{ xs | reverse | list }}|{{ 'abc' | reverse }}|{{ xs | sum }}|{{ xs | min }}|{{ xs | max }}
{{ xs | sort }}|{{ xs | sort(reverse=true) }}|{{ words | sort }}|{{ words | sort(case_sensitive=true) }}|{{ people | sort(attribute='age') | map(attribute='name') | list }}|{{ xs | unique | list }}|{{ ['a', 'A'] | unique | list }}
{{ people | selectattr('tags') | list | length }}|{{ people | selectattr('tags', 'defined') | map(attribute='name') | list }}|{{ people | rejectattr('age', 'gt', 1) | list }}|{{ people | selectattr('name', 'in', ['Zoe', 'Eve']) | map(attribute='age') | list }}|{{ people | map(attribute='tags.k', default='-') | list }}
{{ xs | select('odd') | list }}|{{ xs | reject('odd') | list }}|{{ xs | select('>', 1) | list }}|{{ [0, 1, '', 'a'] | select | list }}|{{ words | map('upper') | list }}|{{ words | map('replace', 'a', 'z') | list }}|{{ no | selectattr('x') | list }}
{{ d | dictsort }}|{{ {'B': 2, 'a': 1} | dictsort }}|{{ {'b': 1, 'a': 2} | dictsort(by='value') }}|{{ d | items | list }}|{{ nothing | items | list }}|{{ d | list }}|{{ 'abc' | list }}
{{ xs | batch(3) | list }}|{{ xs | batch(3, 0) | list }}
{{ '5' | int }}|{{ 'x' | int }}|{{ 'x' | int(9) }}|{{ '3.7' | int }}|{{ 3.9 | int }}|{{ '2.5' | float }}|{{ 'x' | float }}|{{ 3 | float }}|{{ -4 | abs }}|{{ m | abs }}|{{ 2.567 | round(2) }}|{{ 2.5 | round }}|{{ 2.1 | round(method='ceil') | int }}|{{ 5 | string ~ 'a' }}
{{ lines | indent }}|{{ lines | indent(2, true) }}|{{ lines | indent(1, blank=true) }}|{{ 'a\nb' | indent('> ') }}
{{ '<b>&"\'' | e }}|{{ '<b>' | safe }}
{{ 1 is defined }}|{{ no is none }}|{{ s is string }}|{{ d is mapping }}|{{ xs is iterable }}|{{ s is iterable }}|{{ 5 is iterable }}|{{ xs is sequence }}|{{ d is sequence }}|{{ nothing is iterable }}|{{ nothing is sequence }}|{{ nothing is string }}
{{ 1 is number }}|{{ 1.5 is number }}|{{ true is number }}|{{ true is integer }}|{{ 1 is integer }}|{{ 1.0 is float }}|{{ true is boolean }}|{{ 1 is boolean }}|{{ t is true }}|{{ 1 is true }}|{{ false is false }}|{{ range is callable }}
{{ n is odd }}|{{ n is even }}|{{ 9 is divisibleby 3 }}|{{ 9 is divisibleby(2) }}|{{ 3 is in xs }}|{{ 'a' is not in d }}|{{ 1 is eq 1 }}|{{ 1 is equalto(2) }}|{{ 1 is ne 2 }}|{{ 1 is lt 2 }}|{{ 2 is ge 2 }}|{{ 'a' is sameas 'a' }}|{{ 'abc' is lower }}|{{ 'ABC' is upper }}|{{ '1' is lower }}
{{ x is not defined }}|{{ not x is defined }}|{{ x is defined and x is not none }}|{{ nothing is undefined }}|{{ nothing is none }}
{% for i in range(3) %}{{ i }}{% endfor %}|{% for i in range(1, 10, 4) %}{{ i }},{% endfor %}|{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}
{{ range(1000000) | length }}
{% for i in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}
{% for i in xs %}[{{ loop.previtem }}<{{ i }}<{{ loop.nextitem }}]{{ loop.cycle('a', 'b') }}{% endfor %}
{% for i in xs if i > 1 %}{{ i }}{{ loop.index }}{{ loop.last }}{{ loop.length }} {% else %}none{% endfor %}|{% for i in xs if i > 9 %}{{ i }}{% else %}none{% endfor %}|{% for i in [] %}{% else %}empty{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}|{% for k in d %}{{ k }}{% endfor %}|{% for c in 'añb' %}{{ c }}.{% endfor %}|{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }}{% endfor %}|{% for i in nothing %}{% else %}nothing{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% for i in 5 %}{% endfor %}
{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in xs %}{% for j in xs %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}|{% for i in [1] %}{% break %}{% else %}else{% endfor %}
{% set y = 1 %}{% for i in xs %}{% set y = y + i %}{{ y }}{% endfor %}|{{ y }}|{% if true %}{% set y = 9 %}{% endif %}{{ y }}|{{ loop }}
{% set ns = namespace(count=0, seen=[]) %}{% for i in xs %}{% set ns.count = ns.count + i %}{% set ns.seen = ns.seen + [i] %}{% endfor %}{{ ns.count }}{{ ns.seen }}{{ ns.zzz }}|{{ ns.zzz is defined }}
{% set ns = namespace(on=false) %}{% for i in xs if not ns.on %}{{ i }}{% if i == 1 %}{% set ns.on = true %}{% endif %}{% endfor %}
{% set d.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}|{% set c = (1, 2) %}{{ c }}|{% set e = 1, %}{{ e }}
{% set text %}  a{{ n }} {% endset %}[{{ text }}]|{% set up | upper | trim %} abc {% endset %}[{{ up }}]|{% filter upper | replace('A', 'x') %}abc{% endfilter %}
{% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{{ n }}{% endmacro %}{{ f(1) }}|{{ f(1, c=5) }}|{{ f('x', 'y', 'z') }}|{{ f() }}|{{ f(b=1) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(z=2) }}
{% macro fact(k) %}{{ 1 if k <= 1 else k * (fact(k - 1) | int) }}{% endmacro %}{{ fact(10) }}
{% set g = 1 %}{% macro f() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ f() }}|{% for g in [7] %}{{ f() }}{% endfor %}
{% macro f(k) %}{{ f(k + 1) }}{% endmacro %}{{ f(0) }}
{% with a = 1, b = 2 %}{{ a + b }}{% set z = 5 %}{% endwith %}{{ a }}{{ z }}|{% generation %}gen{{ n }}{% endgeneration %}|{{ dict(a=1, b=none) }}
{{ xs.append(4) }}
{{ d.update({'a': 2}) }}
{{ d.pop('a') }}
{{ raise_exception('stop: ' ~ n) }}
{{ s.__class__ }}|
{{ s.__class__.__mro__ }}
{{ ''.__init__.__globals__ }}
{{ unknown_filter_here | nosuchfilter }}
{{ 1 is nosuchtest }}
{% if n > 5 and s %}yes{% elif n %}maybe{% else %}no{% endif %}|{% if no %}a{% elif x == 2.5 %}b{% else %}c{% endif %}
{{ "a\nb\tc\\d\"e\'f\x41\u00e9\U0001F600\101\q" }}|{{ 'multi' ~ "quote's" }}
{{ {'a': {'b': [1, {'c': 2}]}}.a.b[1]['c'] }}|{{ {'a': 1}['a'] }}|{{ [[1, 2], [3]][0][1] }}|{{ {} }}|{{ {'x': 1, 'x': 2} }}
a {#- comment -#} b {# {{ nothing.x }} #}c|{% raw %}{{ x }}{% endraw %}|{%- raw -%} {% if %} {%- endraw -%} |{{- 1 -}} | {{ 2 -}} |
{{ 1 -}} x {{- 2 }} {%- if true -%} y {%- endif +%} z {%+ if true %} w {%- endif %}
{{ '}}' }}{{ '%}' }}|{{ {'a': {'b': 1}}}}|{% set q = {'a': {}} %}{{ q }}
{{ 1 if true else }}
{{ (1 }}
{{ 1 + }}
{% if %}{% endif %}
{% for x in %}{% endfor %}
{% endif %}
{% if true %}
{{ 'open }}
{# open
{% nosuchblock %}
{{ a b }}
{{ 1 2 }}
{% set 1 = 2 %}
{% break %}
{{ [1, 2 }}
{{ $ }}
{% macro f(a=1, b) %}{% endmacro %}
{{ f(a=1, 2) }}
{{ s is string is string }}
""".strip("\n").split("\n")

# White space: tags alone on their lines, at the start, at the end, with every sign.
CASES += ["  {% if true %}\n  x\n  {% endif %}\n", "a\n  {% if true %}  \n b\n\t{%- endif %}\n\n", "\n\n{{ 1 }}\n\n", "{% set a = 1 %}\n\n{{ a }}\n",
          "  {%+ if true %}\nx{% endif +%}\ny\n", "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\nend", "x {# c #}\ny\n  {# c #}\n z\n{#- c -#}\n w",
          "a\r\n{% if true %}\r\nb\r{% endif %}\r\n", "  {{ 1 }}  \n  {% set x = 1 %}  {% set y = 2 %}\n z", "{{ 'x\ny' }}\n", "{%- if true %} {% endif -%}\n \n a",
          "{% raw %}\n {{ a }}\n{% endraw %}\n b", "\t{% raw -%}\n x \n {%- endraw %}\n\n", "\u00a0{% if true %}x{% endif %}", "x\n\u2003{% if true %}y{% endif %}\u2003{%- if true %}z{% endif %}",
          "{% if true %}{% endif %}\n  {% if true %}\n{% endif %}  {{ 1 }}", "", "\n", "plain { text } with % and # }} %} #}"]


def attempt(source, variables):
    try:
        return environment().from_string(source).render(**variables)
    except Exception:
        return None


def main():
    sets = {name: variables for name, variables in variable_sets() if name in SETS}
    assert len(sets) == len(SETS), set(SETS) - set(sets)
    dump = lambda name, what: (HERE / name).write_text(json.dumps(what, ensure_ascii=False, separators=(",", ":")) + "\n")
    dump("variables.json", list(sets.values()))
    for path in sorted(HERE.glob("*.jinja")):
        dump(path.stem + ".json", [attempt(path.read_text(), variables) for variables in sets.values()])
    (HERE / "cases.json").write_text(json.dumps(
        {"variables": VARIABLES, "cases": [[case, attempt(case, VARIABLES)] for case in CASES]}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
