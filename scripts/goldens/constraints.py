#!/usr/bin/env python3
"""Goldens for constraints: what other software accepts.

    python scripts/goldens/constraints.py MODEL.gguf      (needs jsonschema, rfc3339-validator, xgrammar, gguf)

Writes Tests/ConstraintsTests/Goldens/{schemas,regexes,grammars,masks}.json: JSON texts judged by `jsonschema`, texts judged by
Python's `re`, texts and token masks of GBNF grammars by `xgrammar` on the vocabulary of the given model (SmolLM2).
"""
import copy
import json
import pathlib
import random
import re
import sys

# A file beside this one has the name of a library.
sys.path = [entry for entry in sys.path if pathlib.Path(entry).resolve() != pathlib.Path(__file__).resolve().parent]

import gguf
import jsonschema
import xgrammar

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "Tests/ConstraintsTests/Goldens"
generator = random.Random(20261123)


def write(name, value):
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=True, separators=(",", ":")) for entry in value)
    (FOLDER / name).write_text("[\n" + lines + "\n]\n")
    print(name, len(value))


# Schemas. Members of the values stand in the order in which constraints write them: `required`, then the others.
def closed(properties, required=None, **more):
    return {"type": "object", "properties": properties, "required": required if required is not None else list(properties),
            "additionalProperties": False, **more}


TREE = {"$defs": {"node": closed({"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}})},
        "$ref": "#/$defs/node"}
LIST = {"anyOf": [{"type": "null"}, closed({"head": {"type": "string"}, "tail": {"$ref": "#"}})]}
SCHEMAS = [
    ({"type": "string"}, ["", "a", "é\n\"\\\t", "😀", "\u0001"]),
    ({"type": "integer"}, [0, -1, 42, 123456789012]),
    ({"type": "number"}, [0, -1.5, 3.25e-07, 12]),
    ({"type": "boolean"}, [True, False]),
    ({"type": "null"}, [None]),
    ({"type": ["string", "null"]}, ["x", None]),
    ({"type": ["integer", "boolean"]}, [1, True]),
    ({"enum": ["a", "b", 3, None, {"x": [1, "y"]}]}, ["a", "b", 3, None, {"x": [1, "y"]}]),
    ({"const": "only"}, ["only"]),
    ({"type": "string", "enum": ["red", "green", "grün", 5]}, ["red", "grün"]),
    ({"type": "string", "minLength": 2, "maxLength": 4}, ["ab", "abcd", "日本", "a\"\n"]),
    ({"type": "string", "minLength": 3}, ["abc", "a" * 20]),
    ({"type": "string", "maxLength": 0}, [""]),
    ({"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"}, ["AB-123", "ZZ-000"]),
    ({"type": "string", "pattern": "b+"}, ["b", "abba", "xbbb\n"]),
    ({"type": "string", "pattern": "^(a|b$)"}, ["axx", "b"]),
    ({"type": "string", "pattern": "\\\\|\""}, ["\\", "a\"b"]),
    ({"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 3}, ["ab", "abc"]),
    ({"type": "string", "format": "date"}, ["2024-02-29", "2023-12-31", "2000-02-29"]),
    ({"type": "string", "format": "date-time"}, ["2024-02-28T23:59:59Z", "1999-01-01T00:00:00.25+02:00"]),
    ({"type": "string", "format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000"]),
    ({"type": "string", "format": "ipv4"}, ["127.0.0.1", "255.255.255.255"]),
    ({"type": "string", "format": "email"}, ["a.b@example.org"]),
    ({"type": "integer", "minimum": 1, "maximum": 5}, [1, 3, 5]),
    ({"type": "integer", "minimum": -12, "exclusiveMaximum": 130}, [-12, 0, 9, 99, 129]),
    ({"type": "integer", "minimum": 17}, [17, 20, 99, 1000]),
    ({"type": "integer", "maximum": -3}, [-3, -10, -44]),
    ({"type": "integer", "exclusiveMinimum": 0}, [1, 10]),
    ({"type": "integer", "multipleOf": 7, "minimum": 0}, [0, 7, 49, 7000]),
    ({"type": "number", "minimum": 0, "maximum": 1}, [0, 0.5, 1, 0.125]),
    ({"type": "number", "minimum": -2.5, "exclusiveMaximum": 3.75}, [-2.5, 0, 3.5, 3.7499]),
    ({"type": "number", "exclusiveMinimum": 10.25}, [10.26, 11, 100.5]),
    ({"type": "array"}, [[], [1, "a", None, [{}]]]),
    ({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2, 3]]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}, [[True], [True, False, True]]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [[1, 2], [1, 2, 3]]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False}, [[], ["a"], ["a", 1]]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}, "minItems": 1,
      "maxItems": 4}, [["a"], ["a", 1], ["a", 1, None, None]]),
    ({"type": "object"}, [{}, {"a": 1, "b": {"c": []}}]),
    (closed({"name": {"type": "string"}, "age": {"type": "integer"}}), [{"name": "Ann", "age": 3}]),
    (closed({"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}}, ["name"]),
     [{"name": "A"}, {"name": "A", "age": 1}, {"name": "A", "age": 1, "city": "B"}, {"name": "A", "city": "B"}]),
    (closed({"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}, []),
     [{}, {"a": 1}, {"b": 1}, {"c": 1}, {"a": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}]),
    ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": {"type": "string"}},
     [{"a": 1}, {"a": 1, "b": "x"}, {"a": 1, "ab": "x", "c": "y"}]),
    ({"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": True},
     [{}, {"id": 1}, {"id": 1, "x": [1]}, {"ID": 2}]),
    ({"type": "object", "additionalProperties": {"type": "number"}}, [{}, {"x": 1, "y": 2.5}]),
    (closed({"point": closed({"x": {"type": "number"}, "y": {"type": "number"}}),
             "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}}),
     [{"point": {"x": 1.5, "y": -2}, "tags": ["a", "b"]}, {"point": {"x": 0, "y": 0}, "tags": []}]),
    (TREE, [{"value": 1, "children": []}, {"value": 1, "children": [{"value": 2, "children": []}, {"value": 3, "children": []}]}]),
    (LIST, [None, {"head": "a", "tail": None}, {"head": "a", "tail": {"head": "b", "tail": None}}]),
    ({"anyOf": [closed({"kind": {"const": "a"}, "x": {"type": "integer"}}), closed({"kind": {"const": "b"}, "y": {"type": "string"}})]},
     [{"kind": "a", "x": 1}, {"kind": "b", "y": "s"}]),
    ({"oneOf": [closed({"kind": {"const": "a"}, "x": {"type": "integer"}}), closed({"kind": {"const": "b"}, "x": {"type": "string"}})]},
     [{"kind": "a", "x": 1}, {"kind": "b", "x": "s"}]),
    ({"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}, {"type": "array", "items": {"type": "null"}}]},
     ["abc", 5, [None]]),
    ({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "string"}, "a": {"minimum": 3}}, "required": ["b"]}],
      "additionalProperties": True}, [{"a": 3, "b": "x"}, {"a": 9, "b": "x", "c": 1}]),
    ({"allOf": [{"type": "integer", "minimum": 2}, {"type": "number", "maximum": 9}]}, [2, 9, 5]),
    ({"$defs": {"name": {"type": "string", "minLength": 1}}, "type": "object", "properties": {
        "first": {"$ref": "#/$defs/name"}, "last": {"$ref": "#/$defs/name", "maxLength": 3}},
      "required": ["first", "last"], "additionalProperties": False}, [{"first": "Anna", "last": "Li"}]),
    ({"type": "string", "anyOf": [{"minLength": 3}, {"pattern": "^x"}]}, ["abc", "x", "xyzz"]),
    (closed({"we\"ird/ke~y": {"type": "integer"}, "schlüssel": {"type": "null"}}), [{"we\"ird/ke~y": 1, "schlüssel": None}]),
    ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date"}]}}, [[1, "2024-01-31"], []]),
    ({"type": "object", "properties": {"steps": {"type": "array", "items": closed({"explanation": {"type": "string"},
      "output": {"type": "string"}})}, "final_answer": {"type": "string"}}, "required": ["steps", "final_answer"],
      "additionalProperties": False}, [{"steps": [{"explanation": "e", "output": "o"}], "final_answer": "f"}]),
]
SCALARS = [None, True, False, 0, 1, -7, 3, 6, 15, 200, 1.5, -0.25, "", "a", "b", "abc", "abcde", "x\ny", "2023-02-29",
           "2024-13-01", "AB-12", "256.1.1.1", "日本語テキスト", {}, [], [1], ["a"], {"a": 1}, [None, None], {"zz": "q"}]


def changed(value):
    """The value with one thing changed somewhere."""
    value = copy.deepcopy(value)
    if isinstance(value, dict) and value and generator.random() < 0.8:
        key = generator.choice(list(value))
        what = generator.random()
        if what < 0.2:
            del value[key]
        elif what < 0.4:
            value["extra" if generator.random() < 0.7 else "a"] = generator.choice(SCALARS)
        else:
            value[key] = changed(value[key])
        return value
    if isinstance(value, list) and value and generator.random() < 0.8:
        what = generator.random()
        index = generator.randrange(len(value))
        if what < 0.25:
            del value[index]
        elif what < 0.6:
            value.append(generator.choice(SCALARS + [value[index]]))
        else:
            value[index] = changed(value[index])
        return value
    if isinstance(value, str) and value and generator.random() < 0.6:
        index = generator.randrange(len(value))
        return value[:index] + generator.choice(["", "0", "-", "Z", "a", "é", value[index] * 2]) + value[index + 1:]
    if isinstance(value, int) and not isinstance(value, bool) and generator.random() < 0.6:
        return value + generator.choice([-11, -1, 1, 2, 10])
    return generator.choice(SCALARS)


def is_ordered(value, schema):
    """Constraints write members in one order; jsonschema takes any."""
    if not isinstance(value, dict) or "properties" not in schema:
        return True
    required = schema.get("required", [])
    names = required + [name for name in schema["properties"] if name not in required]
    places = [names.index(name) for name in value if name in names]
    return places == sorted(places)


def schemas():
    styles = [dict(separators=(",", ":")), dict(), dict(indent=2)]
    entries = []
    for schema, values in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schema)
        checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        texts = {}
        candidates = list(values) + [changed(generator.choice(values)) for _ in range(24)] + generator.sample(SCALARS, 6)
        for value in candidates:
            text = json.dumps(value, ensure_ascii=False, **generator.choice(styles))
            # Of an email jsonschema asks no more than an @; constraints write addresses.
            is_loose = schema.get("format") == "email" and value not in values and "@" in str(value)
            if len(text) < 300 and is_ordered(value, schema) and not is_loose:
                texts[text] = checker.is_valid(value)
        # Texts that are no JSON.
        for text in list(texts)[:2]:
            for broken in (text + "}", text[:-1], text + " ", text.replace(":", "", 1)):
                try:
                    json.loads(broken)
                except ValueError:
                    texts[broken] = False
        entries.append({"schema": json.dumps(schema, ensure_ascii=False), "texts": [[t, v] for t, v in texts.items()]})
    write("schemas.json", entries)
    print("pairs", sum(len(e["texts"]) for e in entries), "valid", sum(v for e in entries for _, v in e["texts"]))


REGEXES = [
    ("a", ["a"]), ("", [""]), ("a*b+", ["b", "aab"]), ("(foo|bar)?baz", ["baz", "foobaz"]), ("[a-c]{2,4}", ["ab", "abca"]),
    ("\\d{3}-\\d{4}", ["555-1234"]), ("[^\"\\\\]*", ["hello", "ü€"]), ("(?:ab){0,3}", ["", "ababab"]), ("^x+$", ["x", "xxx"]),
    ("[\\w.+-]+@[\\w-]+\\.[a-z]{2,}", ["me@site.org"]), ("(a|b|ab)*c", ["abc", "ababbac"]), (".+", ["any thing", "日本"]),
    ("\\u00e9+", ["é", "éé"]), ("[α-ω]+", ["λογος"]), ("[😀-😎]{1,2}", ["😀", "😃😎"]), ("\\x41\\t\\.", ["A\t."]),
    ("(?P<year>\\d{4})-(0[1-9]|1[0-2])", ["2024-12"]), ("[]a]+", ["]a"]), ("[a\\-z]+", ["a-z"]), ("a{3}", ["aaa"]), ("a{2,}", ["aa", "aaaaa"]),
    ("(yes|no|maybe)", ["yes", "maybe"]), ("\\s*\\S+\\s*", [" x ", "yy"]), ("[^a-z]", ["A", "é", "😀"]), ("(a?){5}b", ["b", "aaab"]),
    ("x*?y+?z??", ["y", "xyz"]), ("((a|b)(c|d))+", ["acbd"]), ("[\\d\\-]+", ["1-2"]), ("a|", ["", "a"]), ("\\(\\[\\{\\^\\$", ["([{^$"]),
]


def regexes():
    entries = []
    alphabet = "abcxyz019-.@ \né€😀\"\\"
    for pattern, matching in REGEXES:
        texts = {}
        for _ in range(14):
            text = list(generator.choice(matching))
            for _ in range(generator.randrange(3)):
                place = generator.randrange(len(text) + 1)
                text[place:place + generator.randrange(2)] = generator.choice(alphabet)
            text = "".join(text)
            texts[text] = re.fullmatch(pattern, text, re.ASCII) is not None
        for text in matching:
            texts[text] = re.fullmatch(pattern, text, re.ASCII) is not None
        entries.append({"pattern": pattern, "texts": [[t, v] for t, v in texts.items()]})
    write("regexes.json", entries)


JSON_GRAMMAR = r'''
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,2})? ws
ws     ::= (" " | "\n" [ \t]{0,20})?
'''
GRAMMARS = [
    (JSON_GRAMMAR, ['{"a": [1, {"b": "c\\n"}], "x": -1.5e3}', "{}", '{"é€😀":null}']),
    ('root ::= "yes" | "no"', ["yes", "no"]),
    ('root ::= item+\nitem ::= "- " [^\\n]+ "\\n"', ["- milk\n- eggs\n", "- 日本\n"]),
    ('root ::= "(" root ")" | "x"', ["x", "((x))"]),
    ('root ::= a b\na ::= "a" a | ""\nb ::= "b" b | "b"', ["b", "aabb"]),
    ('# numbers\nroot ::= expr\nexpr ::= term (("+" | "-") term)*\nterm ::= factor (("*" | "/") factor)*\nfactor ::= [0-9]+ | "(" expr ")"',
     ["1+2*(3-4)", "7"]),
    ('root ::= [a-z]{2,3} ("," [a-z]{2,3})*', ["ab,cde", "abc"]),
    ('root ::= "\\u00e9" [^a-z]? "\\x21"', ["é!", "éX!"]),
    ('root ::= s | t\ns ::= "a" s "b" | "ab"\nt ::= "a" t "bb" | "abb"', ["aabb", "aabbbb"]),
]
PREFIXES = ['{"a": [1, {"b": "c', '{"a', '{', '{"a": -1', '{"a": [tr', "- mi", "", "((", "aa", "1+2*(", "ab,", "é", "aabb"]


def vocabulary(path):
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"]
    kinds = fields["tokenizer.ggml.token_type"]
    texts = [bytes(tokens.parts[i]).decode() for i in tokens.data]
    special = [i for i, place in enumerate(kinds.data) if int(kinds.parts[place][0]) == 3]
    return xgrammar.TokenizerInfo(
        texts, vocab_type=xgrammar.VocabType.BYTE_LEVEL, vocab_size=len(texts), stop_token_ids=[2]), set(special)


def fnv(tokens):
    value = 0xCBF29CE484222325
    for token in tokens:
        for shift in (0, 8, 16, 24):
            value = (value ^ (token >> shift & 0xFF)) * 0x100000001B3 % 2**64
    return "%016x" % value


def masks(path):
    info, special = vocabulary(path)
    compiler = xgrammar.GrammarCompiler(info)
    entries, pairs = [], []
    sources = [("grammar", text, texts, compiler.compile_grammar(xgrammar.Grammar.from_ebnf(text))) for text, texts in GRAMMARS]
    sources += [("regex", pattern, texts, compiler.compile_regex(pattern))
                for pattern, texts in REGEXES if pattern in ("[a-c]{2,4}", "\\d{3}-\\d{4}", "(foo|bar)?baz", "[α-ω]+", "(a|b|ab)*c",
                                                             "[^\"\\\\]*", "(yes|no|maybe)", "[^a-z]")]
    for kind, source, texts, compiled in sources:
        judged = {}
        if kind == "grammar":
            for text in texts + [t[:-1] for t in texts] + [t + "b" for t in texts] + [t.replace("1", "") for t in texts]:
                matcher = xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)
                judged[text] = bool(matcher.accept_string(text) and matcher.is_completed())
            pairs.append({"grammar": source, "texts": [[t, v] for t, v in judged.items()]})
        prefixes = {text[:generator.randrange(len(text) + 1)] for text in texts for _ in range(3)} | set(PREFIXES) | set(texts)
        states = []
        for prefix in sorted(prefixes):
            matcher = xgrammar.GrammarMatcher(compiled)
            if not matcher.accept_string(prefix):
                continue
            # Token by token: the bitmask of xgrammar 0.2.8 leaves out tokens such as "))" after "((x", which it accepts.
            allowed = []
            for token in range(info.vocab_size):
                if matcher.accept_token(token):
                    allowed.append(token)
                    matcher.rollback(1)
            tokens = [token for token in allowed if token not in special]
            entry = {"prefix": prefix, "end": 2 in allowed, "count": len(tokens), "hash": fnv(tokens)}
            if len(tokens) <= 12:
                entry["tokens"] = tokens
            states.append(entry)
        entries.append({"kind": kind, "source": source, "states": states})
    write("grammars.json", pairs)
    write("masks.json", entries)
    print("states", sum(len(entry["states"]) for entry in entries))


schemas()
regexes()
masks(sys.argv[1])
