"""jinja2 set up as transformers does it for chat templates, and conversations to render."""
import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %}: in transformers it records positions; the text is the same."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return env


TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather <now> & \"here\" in Zürich's café \u2028",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "City", "enum": ["Zürich", "東京"]},
            "days": {"type": "integer", "default": 1, "minimum": 0.5},
            "where": {"type": ["string", "null"], "description": "a\nb"}},
            "required": ["city"]}, "return": {"type": "string"}}},
    {"type": "function", "function": {
        "name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {
            "b": {"type": "array", "items": {"type": "number"}}, "a": {"type": "number"}}}}}]

USER = {"role": "user", "content": "  Hello <there>! 你好 \U0001f600\nSecond line  "}
ANSWER = {"role": "assistant", "content": "Hi & bye."}
THOUGHT = {"role": "assistant", "content": "<think>\nLet me see.\n</think>\n\nThe answer is 4."}
REASONED = {"role": "assistant", "reasoning_content": "Two and two.", "content": "4"}
SYSTEM = {"role": "system", "content": "You are terse.\n"}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "abcdefghi", "type": "function",
     "function": {"name": "get_weather", "arguments": {"days": 2, "city": "東京", "x": 1.0, "y": None, "z": True}}}]}
CALL_NONE = {**CALL, "content": None}
CALL_STRING = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "abcdefghi", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 1, \"b\": [2]}"}}]}
RESULT = {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": "{\"t\": 21.5}"}
RESULT_DICT = {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": {"t": 21.5, "s": "ö"}}
PARTS = {"role": "user", "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}]}

CONVERSATIONS = {
    "one": [USER],
    "system": [SYSTEM, USER],
    "turns": [USER, ANSWER, USER],
    "system turns": [SYSTEM, USER, ANSWER, {"role": "user", "content": ""}],
    "thought": [USER, THOUGHT, USER, THOUGHT],
    "reasoned": [USER, REASONED, USER, REASONED],
    "call": [SYSTEM, USER, CALL, RESULT, ANSWER, USER],
    "calls": [USER, CALL_NONE, RESULT, RESULT_DICT, USER],
    "string call": [USER, CALL_STRING, RESULT, THOUGHT, USER, CALL_STRING, RESULT],
    "parts": [SYSTEM, PARTS, ANSWER, PARTS],
    "two users": [USER, USER],
    "starts with assistant": [ANSWER, USER],
    "odd role": [USER, {"role": "ipython", "content": "x"}, {"role": "developer", "content": "y"}],
    "empty": [],
}


def variable_sets():
    """(name, variables) as transformers passes them."""
    for name, messages in CONVERSATIONS.items():
        for tools in (None, TOOLS):
            for prompt in (True, False):
                yield (f"{name}{', tools' if tools else ''}{', prompt' if prompt else ''}",
                       {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt,
                        "bos_token": "<s>", "eos_token": "</s>"})
    yield "not thinking", {"messages": [SYSTEM, USER], "enable_thinking": False, "add_generation_prompt": True,
                           "bos_token": "<s>", "eos_token": "</s>", "date_string": "01 Jan 2026",
                           "custom_tools": TOOLS, "tools_in_user_message": False}
