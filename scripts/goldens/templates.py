"""Renders chat templates and small snippets with Jinja2, exactly as transformers does, for Tests/PromptsTests.

Run with a Python that has transformers, jinja2 and gguf, and name the folder with the two model files:
    python scripts/goldens/templates.py MODELS
Reads   Goldens/Templates/*.jinja and Goldens/snippets.txt (one template a line), both written by hand, and those inside the model files.
Writes  Goldens/chats.json, renderings.json, snippets.json, gguf.json and MANIFEST.json.
"""

import datetime
import json
import platform
import sys
from pathlib import Path

import gguf
import jinja2
import transformers
from transformers.utils import chat_template_utils

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/PromptsTests/Goldens"
NOW = datetime.datetime(2025, 3, 7, 16, 5, 9, 41)


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedClock

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place,\nnow or later.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Town & country, such as \"Köln\""},
                "days": {"type": "integer", "description": "Days ahead", "default": 0},
                "units": {"type": "string", "enum": ["metric", "imperial <us>"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "box": {"type": "object", "properties": {"lat": {"type": "number"}, "on": {"type": "boolean"}}, "required": ["lat"]},
            },
            "required": ["place"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}


def call(name, arguments, id="call_0001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "Which is the highest mountain?"}
ANSWER = {"role": "assistant", "content": "Mount Everest.\n"}
SYSTEM = {"role": "system", "content": "Answer in one line."}
CALLS = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"place": "Köln", "days": 2, "near": 1.5, "all": True})]},
    {"role": "tool", "name": "get_weather", "tool_call_id": "call_0001", "content": "{\"rain\": \"none\"}"},
]
CHATS = {
    "single": {"messages": [USER]},
    "single_closed": {"messages": [USER], "add_generation_prompt": False},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [USER, ANSWER, {"role": "user", "content": "And the second?"}]},
    "turns_closed": {"messages": [SYSTEM, USER, ANSWER, USER, ANSWER], "add_generation_prompt": False},
    "wrong_order": {"messages": [USER, USER]},
    "unknown_role": {"messages": [USER, {"role": "critic", "content": "Hm."}]},
    "unicode": {"messages": [
        {"role": "system", "content": "Ünïcödé ✓ 你好 مرحبا"},
        {"role": "user", "content": "e\u0301 is not é; 👩‍👩‍👧 \u200b\u00a0 ﬁ ẞ \U0001f1e9\U0001f1ea"},
        {"role": "assistant", "content": "こんにちは\u3000"},
        {"role": "user", "content": "\u2028line\u2029 <|im_end|> {{ messages }} {% raw %}"},
    ]},
    "space": {"messages": [
        {"role": "system", "content": "  \n\t"},
        {"role": "user", "content": "\r\n  leading and trailing \t\n\n"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "\n"},
    ]},
    "quotes": {"messages": [{"role": "user", "content": "'single' \"double\" \\back\\ <tag> & \x07"}]},
    "tools": {"messages": [USER], "tools": [WEATHER, CLOCK]},
    "tools_system": {"messages": [SYSTEM, USER], "tools": [WEATHER], "add_generation_prompt": False},
    "calls": {"messages": CALLS, "tools": [WEATHER, CLOCK]},
    "calls_answered": {"messages": CALLS + [{"role": "assistant", "content": "It stays dry."}, USER], "tools": [WEATHER]},
    "two_calls": {"messages": [
        USER,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("clock", {}, "abcdefghi"), call("get_weather", {"place": "Oslo"}, "bcdefghij")]},
        {"role": "tool", "tool_call_id": "abcdefghi", "content": "12:00"},
        {"role": "tool", "tool_call_id": "bcdefghij", "content": "snow"},
    ]},
    "one_call": {"messages": [
        SYSTEM, USER,
        {"role": "assistant", "content": "", "tool_calls": [call("clock", {}, "abcdefghi")]},
        {"role": "tool", "tool_call_id": "abcdefghi", "content": "12:00"},
        {"role": "assistant", "content": "Noon."},
    ], "tools": [CLOCK], "add_generation_prompt": False},
    "thinking": {"messages": [
        USER,
        {"role": "assistant", "content": "<think>\nIt is tall.\n</think>\n\nMount Everest."},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "\nYes, it is.\n"},
    ], "add_generation_prompt": False},
    "no_thinking": {"messages": [SYSTEM, USER], "extra": {"enable_thinking": False, "thinking": True}},
    "old_reasoning": {"messages": [USER, {"role": "assistant", "reasoning": "Hm.", "content": "Everest"}]},
    "parts": {"messages": [
        {"role": "system", "content": [{"type": "text", "text": "Look well."}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " What is it? "}]},
    ]},
    "documents": {"messages": [USER], "documents": [{"title": "Peaks", "text": "Everest: 8849 m"}, {"title": "Seas", "text": "Deep"}], "extra": {"controls": {"citations": True}}},
    "user_tools": {"messages": [SYSTEM, USER], "tools": [CLOCK], "extra": {"tools_in_user_message": False, "date_string": "1 Jan 2030"}},
    "builtin_tools": {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [call("search", {"query": "peak"})]}], "extra": {"builtin_tools": ["search", "code_interpreter"], "reasoning_effort": "high"}},
}

# The variables that every snippet sees.
CONTEXT = {
    "t": True, "f": False, "n": None, "i": 7, "neg": -3, "x": 2.5, "zero": 0, "s": "Hello, World", "empty": "",
    "uni": "Straße ǆ İ ΑΣ é", "spaced": "  a b\tc \n", "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3]],
    "d": {"b": 1, "a": {"k": "v"}, "items": "shadow", "none": None}, "none_list": [], "mixed": [1, "1", 1.0, True, None, "a'b", 'a"b', "\n\u200b"],
    "people": [{"name": "Zoe", "age": 31, "tags": ["x"]}, {"name": "adam", "age": 25}, {"name": "Bob", "age": 31, "tags": []}],
    "msg": {"role": "user", "content": "Hi <b> & 'q'"}, "text": "one\ntwo\n\nthree",
}

# Templates whose point is white space; written with escapes, one a line.
SPACE_SNIPPETS = [
    "a\n{% if t %}\nb\n{% endif %}\nc\n",
    "a\n  {% if t %}\n  b\n  {% endif %}\n  c",
    "  {% if t %}x{% endif %}  \n  {# c #}  \ny",
    "a  {%- if t %}  b  {%- endif %}  c",
    "a  {% if t -%}  \n  b  {% endif -%}  \n c",
    "a\n  {%+ if t %}b{% endif +%}\nc",
    "a\n   {{ i }}\n  {{- i }}\n {{ i -}}\n  b\n",
    "\n\n{{ i }}\n\n",
    "{{ i }}\n",
    "{{ i }}\r\n{% if t %}\r\nx\r\n{% endif %}\r\n",
    "a\r{% if t %}\rb\r{% endif %}",
    "{% for x in l %}\n  {{ x }}\n{% endfor %}\n",
    "{% for x in l -%}\n  {{ x }}\n{%- endfor %}\n",
    "\t{% set a = 1 %}\t\n\t{{ a }}",
    "x {% set a = 1 %}\n y",
    "{% set a = 1 %}\n{% set b = 2 %}\n\n{{ a }}{{ b }}",
    "  {#- c -#}  x",
    "a\n  {# c #}\nb",
    "a\n  {# c +#}\nb",
    "a {#+ c #}\n b",
    "  {% raw %}\n  {{ x }}\n  {% endraw %}\n  y",
    "a\n  {%- raw -%}\n  {{ x }}\n  {%- endraw -%}\n  y",
    "a {% raw +%} b {% endraw %}",
    "a{% raw %} {%- x -%} {% endraw +%}\nb",
    "\u00a0{% if t %}x{% endif %}\u3000{%- if t %}y{% endif -%}\u2003z",
    "a\n \u00a0{% if t %}x{% endif %}",
    "{%if t%}x{%endif%}{{i}}{{-i-}} y",
    "{{ {'a': {'b': 1}}['a'] }}{{ {'a': '}}'}.a }}{% set z = '%}' %}{{ z }}",
    "{{ '{{' }}{{ '{%' }}{ { i } } {% if '{#' %}x{% endif %} #} }} %}",
    "{{- i }}  {{- i -}}  {{ i }}",
    "{{+ i }} {{ i}} {{i }}",
    "a\n\n  \n  {%- if t %}\n\n  b{% endif %}",
    "{% if t %}\n\n\nb\n\n{% endif %}\n\nc",
    "{% if t %} {% endif %}|{% if t %}\n{% endif %}|{% if t %}\t\n {% endif %}|",
    "x{% macro m() %}\n  in\n{% endmacro %}\n{{ m() }}|",
    "{% set z %}\n  a\n{% endset %}\n[{{ z }}]",
    "{% set z -%}\n  a\n{%- endset %}\n[{{ z }}]",
    "{% if t -%}\n{% endif %}  \n  {% if t %}  {% endif %}\nq",
    "{% for x in l %}{{ x }}{% if not loop.last %},\n{% endif %}{% endfor %}\n\n",
    "",
    "\n",
    "\n\n",
    "{%\n if t\n%}\nmulti{%\nendif\n%}",
    "{{ [1,\n 2]\n }}",
    "{% if t %}a{# c #}\n{# d #}\nb{% endif %}",
    "{{ 'a\nb' }}{{ 'a\r\nb' }}",
    "{% if t: %}x{% else: %}y{% endif %}",
]


def rendered(template, variables):
    try:
        text = chat_template_utils._compile_jinja_template(template).render(**variables)
        text.encode("utf-8")
        return {"output": text}
    except Exception as error:  # Whatever Python raises is an error of the template.
        return {"error": type(error).__name__}


def snippets():
    joined, pending = [], ""
    for line in (GOLDENS / "snippets.txt").read_text(encoding="utf-8").split("\n")[:-1]:
        # A backslash at the end, and an open comment, continue on the next line.
        pending += line
        if pending.endswith("\\") or pending.endswith("{# multi"):
            pending += "\n"
            continue
        joined.append(pending)
        pending = ""
    return [{"template": text, **rendered(text, CONTEXT)} for text in joined + SPACE_SNIPPETS]


def rendering(template, chat):
    try:
        texts, _ = chat_template_utils.render_jinja_template(
            conversations=[chat["messages"]],
            tools=chat.get("tools"),
            documents=chat.get("documents"),
            chat_template=template,
            add_generation_prompt=chat.get("add_generation_prompt", True),
            bos_token="<s>",
            eos_token="</s>",
            **chat.get("extra", {}),
        )
        return {"output": texts[0]}
    except Exception as error:
        return {"error": str(error) if isinstance(error, jinja2.exceptions.TemplateError) else type(error).__name__}


def generation(template, chat):
    texts, ranges = chat_template_utils.render_jinja_template(
        conversations=[chat["messages"]], tools=chat.get("tools"), chat_template=template,
        return_assistant_tokens_mask=True, bos_token="<s>", eos_token="</s>",
        add_generation_prompt=chat.get("add_generation_prompt", True),
    )
    return [texts[0][start:end] for start, end in ranges[0]]


def model_templates(folder):
    found = {}
    for name in ["smollm2-135m-instruct", "gemma3-270m"]:
        field = gguf.GGUFReader(str(folder / f"{name}.gguf")).fields.get("tokenizer.chat_template")
        found[name] = field.contents() if field else None
    return found


def write(name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (GOLDENS / name).write_text(text + "\n", encoding="utf-8")


def main():
    models = model_templates(Path(sys.argv[1]))
    write("gguf.json", models)
    write("chats.json", CHATS)
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted((GOLDENS / "Templates").glob("*.jinja"))}
    sources |= {f"gguf/{name}": source for name, source in models.items() if source}
    renderings = [
        {"template": template, "chat": chat, **rendering(source, CHATS[chat])}
        for template, source in sources.items()
        for chat in CHATS
    ]
    write("renderings.json", renderings)
    write("generation.json", [
        {"template": "harmony", "chat": chat, "generated": generation(sources["harmony"], CHATS[chat])}
        for chat in ["turns", "turns_closed", "calls_answered", "thinking"]
    ])
    table = snippets()
    write("snippets.json", {"context": CONTEXT, "cases": table})
    errors = sum("error" in case for case in table)
    write("MANIFEST.json", {
        "generator": "scripts/goldens/templates.py",
        "python": platform.python_version(),
        "jinja2": jinja2.__version__,
        "transformers": transformers.__version__,
        "gguf": __import__("importlib.metadata").metadata.version("gguf"),
        "now": NOW.isoformat(),
        "templates": len(sources),
        "chats": len(CHATS),
        "renderings": len(renderings),
        "snippets": len(table),
        "snippets_that_fail": errors,
    })
    print(f"{len(renderings)} renderings, {len(table)} snippets, {errors} of them errors")


if __name__ == "__main__":
    main()
