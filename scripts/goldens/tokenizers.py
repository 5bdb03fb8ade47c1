#!/usr/bin/env python3
"""Goldens of the tokenizer tests, written by the `tokenizers` package and checked against `sentencepiece`.

    python scripts/goldens/tokenizers.py Tests/TokenizersTests/Goldens FOLDER_WITH_MODELS

strings.jsonl            the texts, one JSON string a line
<family>/tokenizer.json  a small vocabulary trained with the family's real stages; also tokenizer_config.json
<family>/expected.json   what `tokenizers` makes of the texts
real-<model>.json        the same for the vocabularies of the two real models, built from their GGUF files
classes.json             the characters of \\p{L}, \\p{N}, \\s, digits and of NFC, as the library sees them
"""
import sys

sys.path.pop(0)  # this file has the name of the library
import json
import random
import unicodedata
from importlib.metadata import version
from pathlib import Path

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import generate_merges

out, model_folder = Path(sys.argv[1]), Path(sys.argv[2])
rng = random.Random(20240917)

# --- texts

ENGLISH = """The quick brown fox jumps over the lazy dog, and nobody's told it why. I've seen 3 of them; we'll see 12,345 more.
It isn't what they'd expected: "don't", she said, isn't DON'T, and IT'S not It's. We're here — they're there…
In 1984 the price rose from $3.50 to $1,024.99 (up 29%), i.e. more than e-mail@example.com or https://example.com/a?b=c&d=%20e.
A job queue keeps rows in a table; workers claim them with SELECT … FOR UPDATE SKIP LOCKED and write results back.
Whereas recognition of the inherent dignity is the foundation of freedom, justice and peace in the world.
What's in a name? That which we call a rose by any other word would smell as sweet.
Tokenization splits text into pieces: antidisestablishmentarianism, counterrevolutionaries, un-believ-able.""".split("\n")
OTHER = """快速的棕色狐狸跳过了懒狗。我们今天在北京见面,好吗?价格是１２３元。
人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。
吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。カタカナとｶﾀｶﾅ。
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.
يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. السعر ١٢٣٤ ريال.
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। १२३
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ๑๒๓
Все люди рождаются свободными и равными в своём достоинстве и правах.
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.
Alle Menschen sind frei und gleich an Würde und Rechten geboren; Straße, größer, naïve café, Ångström.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.
כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.
Ⅳ Ⅻ ½ ¾ ² ³ ① ⑳ ൠ ᛮ 〇 一二三 ٣ ৪ 𝟘𝟙𝟚 𝐀𝐁 𝕳𝖊𝖑𝖑𝖔 𐍈 𠀀𠀁 ⅷ""".split("\n")
CODE = [
    "def f(x: int) -> int:\n    return x ** 2  # square\n\n\nprint(f(3))\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i]*b[i];\n}\r\n",
    "let x = [1, 2, 3].map { $0 * 2 }\n\n    if x.isEmpty { fatalError(\"no\") }",
    "SELECT id, state FROM millrace.jobs WHERE id = $1 -- comment\n  AND state IN ('ready','running');",
    "<html><body class=\"a\">\n  <p>Hi &amp; bye</p>\n</body></html>",
    "{\"a\": [1, 2.5e-10, null, true], \"b\": {\"c\": \"\\u00e9\\n\"}}",
    "\t\tif (a && b || !c) return a?.b ?? c;", "#!/bin/sh\nset -eu\nexec \"$@\" 2>&1 | tee out.log",
    "x\u00a0=\u00a01;\u2028y = 2;\u2029", "a  b   c    d     e", "\\section{A} $\\alpha_{i}^{2}$ % note",
]
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇯🇵🇺🇸", "🧑🏿‍🚀", "1️⃣", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☺︎", "👨‍💻 codes", "🫠🫡🪿"]
SPACES = [" ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u2000", "\u2003", "\u2009", "\u200b", "\u2028",
          "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\u200d", "\u180e", "\x1c", "\x1f"]
MARKS = ["\u0301", "\u0300", "\u0308", "\u0323", "\u0327", "\u0338", "\u0345", "\u3099", "\u309a", "\u093c", "\u0d3e", "\u1ac1", "\u0334", "\U0001d165",
         "\u1161", "\u11a8", "\u0653", "\u05bc", "\u0f72", "\u0898", "\u302a", "\U00016d63", "\U000113c9"]
TAILS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'Re", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "'ſ", "’s", "'", "''", "'x", "'r", "'v", "'l",
         "'l l", " 's", "' s", "'\u017f\u017f", "'\u212a", "'é"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>", "<eos>", "<s>", "</s>", "<unk>", "<pad>", "<|begin_of_text|>", "<|eot_id|>",
            "<start_of_turn>", "<end_of_turn>", "<0x0A>", "<mask>", "<table>", "[multimodal]", "<unused7>", "▁", "<|im_", "Ġ", "ĊĊ"]


def words() -> list[str]:
    return [w for line in ENGLISH + OTHER for w in line.split(" ")]


def scalar(limit: int = 0x110000) -> str:
    while True:
        value = rng.randrange(limit)
        if not 0xD800 <= value < 0xE000:
            return chr(value)


def assigned() -> str:
    while True:
        c = scalar(0x20000)
        if unicodedata.category(c) not in ("Cn", "Co", "Cs"):
            return c


def texts() -> list[str]:
    result = ["", " ", "  ", "a", "'", "\n", "\n\n", " \n", "\n ", " \n \n ", "   x", "x   ", "   "]
    result += ENGLISH + OTHER + CODE + EMOJI + SPACES + MARKS + TAILS + SPECIALS
    result += [unicodedata.normalize(form, line) for line in OTHER for form in ("NFD", "NFKD")]
    pool = words()
    for tail in TAILS:
        for word in ("I", "they", "x1", "é", "他", " "):
            result += [word + tail + rng.choice(["", " ", "x", "1", "\n"])]
    for digits in range(1, 12):
        number = "".join(rng.choice("0123456789") for _ in range(digits))
        result += [number, " " + number, number + " " + number, f"a{number}b", f"-{number}.{number}", "٣" * digits, "²" * digits]
    for space in SPACES:
        result += [f"a{space}b", f"a{space}{space}b", f"a {space} b", f"{space}a", f"a{space}", f"{space}{space}1", f"a{space}.", f"a{space}\nb", f" {space}'s"]
    for mark in MARKS:
        result += [f"a{mark}b", f"e{mark}{rng.choice(MARKS)}", f"{mark}x", f" {mark}", f"か{mark}", f"\u1100{mark}", f"1{mark}1", f"A{mark}\u0301{rng.choice(MARKS)}"]
    for special in SPECIALS:
        result += [f"a{special}b", f"  {special}  x", f"{special}{rng.choice(SPECIALS)}\n", f"{special}user\nHi{special}", special[:-1], f"_{special}9"]
    for control in [0, 1, 7, 8, 27, 127, 0x80, 0x9F, 0xAD, 0xFFFE, 0xFFFF, 0xFFFD, 0xE000, 0x10FFFF, 0x1FFFE]:
        result += [f"a{chr(control)}b {chr(control)}"]
    for _ in range(120):  # texts that were no UTF-8
        result.append(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 16))).decode("utf-8", "replace"))
    for _ in range(330):
        result.append(rng.choice(["", " ", "\n"]).join(rng.choice(pool) for _ in range(rng.randrange(1, 9))))
    for _ in range(200):
        result.append("".join(rng.choice([rng.choice(pool), rng.choice(SPACES), rng.choice(TAILS), rng.choice(MARKS), str(rng.randrange(99999)), rng.choice(EMOJI)]) for _ in range(rng.randrange(2, 7))))
    for _ in range(200):
        result.append("".join(assigned() for _ in range(rng.randrange(1, 8))))
    for _ in range(100):
        result.append("".join(scalar() for _ in range(rng.randrange(1, 5))))
    for _ in range(150):
        result.append("".join(rng.choice(" \n\r\ta1.'sé中\u0301!") for _ in range(rng.randrange(2, 20))))
    result += ["a" * 300, "ab" * 200, " " * 200, "\n" * 90, "aaaa " * 40, "1" * 200, "é" * 120, "中" * 100, "!" * 150, "👍" * 40, "\u0301" * 60,
               "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(400)), "The" * 80, " the" * 60, "\t" * 70, "<|im_end|>" * 9]
    return list(dict.fromkeys(result))


# --- vocabularies

GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level(special: list[str], pre, normalizer=None, **options) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(ENGLISH * 3 + OTHER + CODE, trainer)
    return tokenizer


def byte_fallback(special: list[str], normalizer, pre, decoder, byte_tokens: bool = True) -> Tokenizer:
    learner = Tokenizer(models.BPE(unk_token=special[-1], fuse_unk=True))
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)  # no piece across words
    trainer = trainers.BpeTrainer(vocab_size=1100, special_tokens=special, limit_alphabet=220, show_progress=False)
    learner.train_from_iterator(ENGLISH * 3 + OTHER + CODE, trainer)
    model = json.loads(learner.to_str())["model"]
    names = special + ([f"<0x{b:02X}>" for b in range(256)] if byte_tokens else [])
    names += [p for p in model["vocab"] if p not in names]
    tokenizer = Tokenizer(models.BPE(
        vocab={p: i for i, p in enumerate(names)}, merges=[tuple(m) for m in model["merges"]], unk_token=special[-1],
        byte_fallback=byte_tokens, fuse_unk=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens(special)
    return tokenizer


def families() -> dict[str, tuple[Tokenizer, dict]]:
    split = lambda p: pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(p), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    gpt2 = byte_level(["<|endoftext|>"], pre_tokenizers.ByteLevel(add_prefix_space=False))
    smollm = byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    qwen = byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], split(GPT4 % ""), normalizers.NFC())
    qwen.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("<table>", normalized=False)])

    llama = byte_level(["<|begin_of_text|>", "<|eot_id|>"], split(GPT4 % "{1,3}"))
    model = json.loads(llama.to_str())["model"]
    vocabulary = dict(model["vocab"])
    for word in ["Ġantidisestablishmentarianism", "Tokenization", "123", "Ġworkers", "ä¸Ģå¾ĭ", "!!!!!!!"]:
        vocabulary.setdefault(word, len(vocabulary))  # no merges lead there
    settings = llama
    llama = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(m) for m in model["merges"]], ignore_merges=True))
    llama.pre_tokenizer, llama.decoder = settings.pre_tokenizer, settings.decoder
    llama.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
    llama.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", llama.token_to_id("<|begin_of_text|>"))])])

    pieces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    gemma = byte_fallback(["<pad>", "<eos>", "<bos>", "<unk>"], normalizers.Replace(" ", "▁"),
                          pre_tokenizers.Split(" ", "merged_with_previous"), decoders.Sequence(pieces))
    gemma.add_tokens([AddedToken(t, normalized=False) for t in ["\n", "\n\n", "<table>", "▁▁", "<start_of_turn>"]])
    gemma.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", gemma.token_to_id("<bos>"))])
    mistral = byte_fallback(["<s>", "</s>", "<unk>"], normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
                            None, decoders.Sequence(pieces + [decoders.Strip(" ", 1, 0)]))
    mistral.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", mistral.token_to_id("<s>"))])
    metaspace = byte_fallback(["<s>", "</s>", "<unk>"], None, pre_tokenizers.Metaspace(prepend_scheme="first", split=True),
                              decoders.Metaspace(prepend_scheme="first", split=True), byte_tokens=False)
    metaspace.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", metaspace.token_to_id("<s>")), ("</s>", metaspace.token_to_id("</s>"))])

    flags = byte_level(["<|endoftext|>"], pre_tokenizers.ByteLevel(add_prefix_space=True), normalizers.NFC())
    flags.add_tokens([
        AddedToken("<mask>", lstrip=True, normalized=False, special=True), AddedToken("<table>", rstrip=True, normalized=False),
        AddedToken("they", single_word=True, normalized=True), AddedToken("fox", single_word=True, normalized=False),
        AddedToken("e\u0301", normalized=True), AddedToken("café", normalized=True), AddedToken("\u212b", normalized=False),
        AddedToken("rose ", normalized=False), AddedToken(" price", lstrip=True, normalized=True), AddedToken("Ġa", normalized=False)])
    return {
        "gpt2": (gpt2, {"bos_token": "<|endoftext|>", "eos_token": {"content": "<|endoftext|>"}}),
        "smollm2": (smollm, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}),
        "qwen2": (qwen, {"bos_token": None, "eos_token": "<|im_end|>", "add_bos_token": False}),
        "llama3": (llama, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}),
        "gemma": (gemma, {"bos_token": {"__type": "AddedToken", "content": "<bos>"}, "eos_token": "<eos>"}),
        "mistral": (mistral, {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": False}),
        "metaspace": (metaspace, {"bos_token": "<s>", "eos_token": "</s>"}),
        "flags": (flags, {"eos_token": "<|endoftext|>"}),
    }


# --- what the library makes of the texts


def expected(tokenizer: Tokenizer, strings: list[str], step: int = 1) -> dict:
    tokenizer.encode_special_tokens = False
    result = {"step": step, "encode": [], "plain": {}, "decode": {}, "skipped": {}, "random": []}
    for index in range(0, len(strings), step):
        text = strings[index]
        ids = tokenizer.encode(text).ids
        result["encode"].append(ids)
        # Only what differs from the text is written down.
        for name, skip in (("decode", False), ("skipped", True)):
            decoded = tokenizer.decode(ids, skip_special_tokens=skip)
            if decoded != text:
                result[name][str(index)] = decoded
    tokenizer.encode_special_tokens = True
    for position, index in enumerate(range(0, len(strings), step)):
        ids = tokenizer.encode(strings[index]).ids
        if ids != result["encode"][position]:
            result["plain"][str(index)] = ids
    tokenizer.encode_special_tokens = False
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    low = max(size, 1)
    for _ in range(150):
        # Low ids hold single bytes and special tokens: broken characters.
        ids = [rng.randrange(min(low, rng.choice([300, 600, low]))) for _ in range(rng.randrange(1, 12))]
        result["random"].append([ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)])
    return result


def write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def field(reader, name: str):
    return reader.fields[f"tokenizer.ggml.{name}"].contents()


def real_smollm2() -> Tokenizer:
    reader = gguf.GGUFReader(model_folder / "smollm2-135m-instruct.gguf")
    tokens, types = field(reader, "tokens"), field(reader, "token_type")
    merges = [tuple(m.split(" ")) for m in field(reader, "merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, kind in zip(tokens, types) if kind == 3])
    return tokenizer


def real_gemma3() -> tuple[Tokenizer, sentencepiece.SentencePieceProcessor]:
    reader = gguf.GGUFReader(model_folder / "gemma3-270m.gguf")
    tokens, types, scores = field(reader, "tokens"), field(reader, "token_type"), field(reader, "scores")
    vocabulary = {t: i for i, t in enumerate(tokens)}
    ordinary = {t: i for t, i in vocabulary.items() if types[i] == 1}
    merges = generate_merges(ordinary, {t: scores[i] for t, i in ordinary.items()})
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, kind in zip(tokens, types) if kind in (2, 3)])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == 4])

    proto = spm.ModelProto()
    proto.trainer_spec.model_type, proto.trainer_spec.byte_fallback, proto.trainer_spec.vocab_size = 2, True, len(tokens)
    proto.trainer_spec.unk_id, proto.trainer_spec.bos_id, proto.trainer_spec.eos_id, proto.trainer_spec.pad_id = 3, 2, 1, 0
    proto.normalizer_spec.name, proto.normalizer_spec.add_dummy_prefix = "identity", False
    proto.normalizer_spec.remove_extra_whitespaces, proto.normalizer_spec.escape_whitespaces = False, True
    for text, kind, score in zip(tokens, types, scores):
        proto.pieces.add(piece=text.replace(" ", "▁"), type=kind, score=score)
    return tokenizer, sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def ranges(values: list[int]) -> list[int]:
    """First and last of each run of numbers."""
    result = []
    for value in values:
        if result and result[-1] == value - 1:
            result[-1] = value
        else:
            result += [value, value]
    return result


def classes() -> dict:
    scalars = [i for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    result = {}
    for name, cutter in {
        "letter": pre_tokenizers.Split(Regex(r"\p{L}"), "isolated"), "number": pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
        "space": pre_tokenizers.Split(Regex(r"\s"), "isolated"), "digit": pre_tokenizers.Digits(individual_digits=True),
    }.items():
        result[name] = ranges([i for i in scalars if i != 0x21 and len(cutter.pre_tokenize_str(f"!{chr(i)}!")) == 3])
    nfc = normalizers.NFC()
    changed = [(chr(i), nfc.normalize_str(chr(i))) for i in scalars]
    result["composed"] = "".join(f"{a} {b}\n" for a, b in changed if a != b)
    # Characters that are reordered with, or composed into, the letter and mark before them, or the mark behind them.
    text = lambda i: [f"a\u0305{chr(i)}", f"a{chr(i)}\u0334"]
    result["moves"] = ranges([i for i in scalars if i >= 0x300 and any(nfc.normalize_str(t) != t for t in text(i))])
    return result


def main() -> None:
    strings = texts()
    out.mkdir(parents=True, exist_ok=True)
    (out / "strings.jsonl").write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in strings), encoding="utf-8")
    write(out / "classes.json", classes())
    for name, (tokenizer, configuration) in families().items():
        (out / name).mkdir(exist_ok=True)
        tokenizer.save(str(out / name / "tokenizer.json"), pretty=False)
        write(out / name / "tokenizer_config.json", configuration)
        write(out / name / "expected.json", expected(tokenizer, strings, step=3 if name in ("metaspace", "flags") else 1))
    write(out / "real-smollm2-135m-instruct.json", expected(real_smollm2(), strings))
    gemma, processor = real_gemma3()
    result = expected(gemma, strings)
    differing = [t for t, ids in zip(strings, result["encode"]) if not any(s in t for s in SPECIALS) and processor.encode(t) != ids[1:]]
    print(f"gemma3: sentencepiece differs from tokenizers for {len(differing)} texts: {differing[:20]}")
    write(out / "real-gemma3-270m.json", result)
    write(out / "MANIFEST.json", {
        "generator": "scripts/goldens/tokenizers.py", "texts": len(strings),
        "versions": {n: version(n) for n in ("tokenizers", "sentencepiece", "gguf", "transformers")} | {"python": sys.version.split()[0]}})
    print(len(strings), "texts,", sum(f.stat().st_size for f in out.rglob("*") if f.is_file()), "bytes")


main()
