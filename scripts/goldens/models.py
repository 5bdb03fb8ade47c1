#!/usr/bin/env python3
"""Goldens of the forward pass: what `transformers` computes (float32, eager attention, CPU).

    python scripts/goldens/models.py Tests/ModelsTests/Goldens/models [folder with the real models]

<name>/hf/                 a tiny random model as `save_pretrained` writes it, in 16-bit floats
<name>/<encoding>.gguf     the same weights, bit for bit, as llama.cpp's converter lays them out
<name>/expected.json       prompts, 64 greedy tokens after each, and the positions whose logits are kept
<name>/logits.bin          those logits, float32 [rows, vocabulary]
real/<name>.json, .bin     the same for a published GGUF file, its weights dequantised by the `gguf` package;
                           of each row every n-th logit and the 50 largest

Weights of matrices are q · 2^-k with bytes q and one k per 32 inputs: F32, F16, BF16 and Q8_0 all hold them exactly, so
that one expectation serves every file.
"""
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from tokenizers import Tokenizer, models as bpe, pre_tokenizers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

VOCABULARY, CONTEXT, GREEDY = 320, 128, 64
LENGTHS = [3, 17, 48]
MARGIN = 0.02  # of the greedy choices: ten times the tolerance of the tests

out = Path(sys.argv[1])


# MARK: tiny models

def configurations() -> dict[str, tuple[type, object, torch.dtype, list[str]]]:
    """Name → model class, configuration, dtype of the Hugging Face folder, encodings of the GGUF files."""
    wide = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT, bos_token_id=1,
                eos_token_id=2, tie_word_embeddings=False, attn_implementation="eager")
    small = wide | dict(hidden_size=32, intermediate_size=64, head_dim=16, tie_word_embeddings=True)
    llama3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    linear = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
    windows = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
               "full_attention": {"rope_type": "default", "rope_theta": 1e6}}
    t = transformers
    return {
        "gpt2": (t.GPT2LMHeadModel, t.GPT2Config(
            vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_inner=96, n_positions=CONTEXT, bos_token_id=1,
            eos_token_id=2, attn_implementation="eager"), torch.float16, ["Q8_0"]),
        "llama": (t.LlamaForCausalLM, t.LlamaConfig(**wide), torch.bfloat16, ["Q8_0"]),
        "llama3": (t.LlamaForCausalLM, t.LlamaConfig(**small, rope_parameters=llama3), torch.float16,
                   ["F16", "Q8_0"]),
        "qwen2": (t.Qwen2ForCausalLM, t.Qwen2Config(
            **{k: v for k, v in small.items() if k != "head_dim"}, rope_parameters=linear), torch.bfloat16, ["Q8_0"]),
        "qwen3": (t.Qwen3ForCausalLM, t.Qwen3Config(
            **{**wide, "tie_word_embeddings": True}, head_dim=32), torch.float16, ["Q8_0"]),
        # Seven layers: the sixth sees everything. A window of 8 is shorter than two of the prompts.
        "gemma3": (t.Gemma3ForCausalLM, t.Gemma3TextConfig(
            **{**small, "num_hidden_layers": 7, "num_key_value_heads": 1}, sliding_window=8, query_pre_attn_scalar=16,
            layer_types=["full_attention" if i == 5 else "sliding_attention" for i in range(7)],
            rope_parameters=windows), torch.bfloat16, ["Q8_0"]),
    }


def is_conv1d(name: str) -> bool:
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def to_grid(matrix: torch.Tensor) -> torch.Tensor:
    """[outputs, inputs] → the nearest values q · 2^-k."""
    blocks = matrix.double().reshape(-1, 32)
    scales = torch.exp2(torch.ceil(torch.log2(blocks.abs().amax(1, keepdim=True) / 127)))
    return (torch.round(blocks / scales) * scales).reshape(matrix.shape).float()


def fill(model: torch.nn.Module, seed: int) -> None:
    """Weights with enough spread for logits that are far apart. A tied embedding is small and the last norm large, or a
    token would always be followed by itself."""
    generator = torch.Generator().manual_seed(seed)
    gemma = model.config.model_type == "gemma3_text"
    embedding = 0.1 if gemma else 0.2
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            centre = 1 if "norm" in name or name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")) else 0
            if name in ("model.norm.weight", "transformer.ln_f.weight"):
                centre = 8 if gemma else 4
            centre -= gemma
            parameter.data = (centre + 0.25 * noise).bfloat16().float()
        elif is_conv1d(name):
            parameter.data = to_grid(noise.T * 1.5 / parameter.shape[0] ** 0.5).T.contiguous()
        elif "lm_head" in name or "embed" in name or "wte" in name:
            parameter.data = to_grid(noise * embedding)
        else:
            parameter.data = to_grid(noise * 1.5 / parameter.shape[1] ** 0.5)


@torch.no_grad()
def greedy(model, prompt: list[int], count: int) -> tuple[list[int], float]:
    """Tokens, and how far the first was ahead of the second where that was closest."""
    tokens, margin = list(prompt), float("inf")
    for _ in range(count):
        top = model(torch.tensor([tokens]), use_cache=False).logits[0, -1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        tokens.append(int(top.indices[0]))
        if margin < MARGIN:
            break
    return tokens[len(prompt):], margin


def kept(length: int) -> list[int]:
    return [p for p in range(length) if p % 5 == 0 or p == length - 1]


@torch.no_grad()
def expectation(model, folder: Path, seed: int) -> bool:
    """Writes it, unless a greedy choice is too close or the tokens are dull."""
    generator = torch.Generator().manual_seed(seed)
    cases, rows = [], []
    for length in LENGTHS:
        prompt = torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
        tokens, margin = greedy(model, prompt, GREEDY)
        if margin < MARGIN or len(set(tokens)) < 8:
            return False
        # Of the whole text, so that windows have moved past the prompt.
        text = prompt + tokens
        positions = kept(length) + [len(text) - 1]
        rows.append(model(torch.tensor([text]), use_cache=False).logits[0, positions].numpy())
        cases.append({"prompt": prompt, "greedy": tokens, "positions": positions, "margin": round(margin, 4)})
    folder.mkdir(parents=True)
    (folder / "logits.bin").write_bytes(np.concatenate(rows).astype("<f4").tobytes())
    (folder / "expected.json").write_text(json.dumps({"seed": seed, "cases": cases}) + "\n")
    return True


# MARK: GGUF

def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from halves to interleaved pairs, as convert_hf_to_gguf.py does for Llama."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def q8_0(matrix: np.ndarray) -> np.ndarray:
    blocks = matrix.reshape(-1, 32)
    scales = np.exp2(np.ceil(np.log2(np.abs(blocks).max(1, keepdims=True) / 127)))
    data = np.concatenate([scales.astype(np.float16).view(np.uint8), (blocks / scales).astype(np.int8).view(np.uint8)], 1)
    data = data.reshape(matrix.shape[0], -1)
    assert np.array_equal(gguf.quants.dequantize(data, Type.Q8_0), matrix)
    return data


def write_gguf(model, path: Path, encoding: str) -> None:
    config = model.config
    family = {"gemma3_text": "gemma3"}.get(config.model_type, config.model_type)
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", heads)
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config.n_inner if family == "gpt2" else config.intermediate_size)
    writer.add_head_count(heads)
    if family == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        rope = config.rope_parameters
        writer.add_head_count_kv(groups)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_key_length(size)
        writer.add_value_length(size)
        writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
        if rope.get("rope_type") == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
        if rope.get("rope_type") == "llama3":
            plain = 1.0 / (rope["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float32) / size))
            scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
            writer.add_tensor("rope_freqs.weight", (plain / scaled.numpy()).astype(np.float32))
    if family == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(VOCABULARY)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data = tensor.numpy()
        if is_conv1d(name):
            data = data.T
        if family == "gemma3" and name.endswith("norm.weight"):
            data = data + 1
        if family == "llama" and ".q_proj." in name:
            data = permuted(data, heads)
        if family == "llama" and ".k_proj." in name:
            data = permuted(data, groups)
        data = np.ascontiguousarray(data)
        key = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if data.ndim == 1 or "wpe" in name or encoding == "F32":
            writer.add_tensor(key, data)
        elif encoding == "F16":
            writer.add_tensor(key, data.astype(np.float16))
        else:
            writer.add_tensor(key, q8_0(data), raw_dtype=Type.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny_models() -> None:
    for name, (cls, config, dtype, encodings) in configurations().items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        model = cls(config).eval()
        for seed in range(1, 1000):
            fill(model, seed)
            if expectation(model, folder, seed):
                break
        else:
            sys.exit(f"{name}: no seed gives tokens that are far apart")
        for encoding in encodings:
            write_gguf(model, folder / f"{encoding.lower()}.gguf", encoding)
        stored = {k: v.clone() for k, v in model.state_dict().items()}
        model.to(dtype).save_pretrained(folder / "hf")
        again = cls.from_pretrained(folder / "hf", dtype=torch.float32).state_dict()
        assert all(torch.equal(stored[k], again[k]) for k in stored), name
        print(name, seed, flush=True)


# MARK: published models

PARAGRAPH = (
    "The harbour lies open to the north, and in winter the swell comes in past the old breakwater with such weight that "
    "the fishing boats are hauled up onto the slip for weeks. Nobody remembers who laid the first stones. A survey of 1874 "
    "shows a pier of timber, a customs house and three wells; the railway, which had been promised to the town twice, never "
    "came. What kept people here was the herring, and after the herring had gone, the light: painters took rooms above the "
    "net lofts, paid for them with pictures, and left when the money or the patience of their landlords ran out.")
PROMPTS = ["The capital of France is", "Once upon a time, in a small village by the sea, there lived"]


def architecture_model(reader: gguf.GGUFReader):
    """The Transformers model with the dequantised weights of a file."""
    def field(key: str):
        entry = reader.get_field(key)
        return None if entry is None else entry.contents()

    family = field("general.architecture")
    tensors = {t.name: t for t in reader.tensors}
    vocabulary = len(field("tokenizer.ggml.tokens"))
    common = dict(
        vocab_size=vocabulary, hidden_size=field(f"{family}.embedding_length"),
        intermediate_size=field(f"{family}.feed_forward_length"), num_hidden_layers=field(f"{family}.block_count"),
        num_attention_heads=field(f"{family}.attention.head_count"),
        num_key_value_heads=field(f"{family}.attention.head_count_kv"),
        max_position_embeddings=field(f"{family}.context_length"),
        rms_norm_eps=field(f"{family}.attention.layer_norm_rms_epsilon"), tie_word_embeddings="output.weight" not in tensors,
        attn_implementation="eager")
    base = field(f"{family}.rope.freq_base")
    if family == "llama":
        config = transformers.LlamaConfig(**common, rope_parameters={"rope_type": "default", "rope_theta": base})
        model = transformers.LlamaForCausalLM(config)
    else:
        size = field("gemma3.attention.key_length")
        config = transformers.Gemma3TextConfig(
            **common, head_dim=size, query_pre_attn_scalar=size, sliding_window=field("gemma3.attention.sliding_window"),
            layer_types=["sliding_attention" if (i + 1) % 6 else "full_attention" for i in range(common["num_hidden_layers"])],
            rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                             "full_attention": {"rope_type": "default", "rope_theta": base}})
        model = transformers.Gemma3ForCausalLM(config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], common["num_hidden_layers"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            tensor = tensors[names.get_name(name, try_suffixes=(".weight", ".bias"))]
            data = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            for part, heads in [(".q_proj.", "num_attention_heads"), (".k_proj.", "num_key_value_heads")]:
                if family == "llama" and part in name:
                    data = data.reshape(common[heads], -1, 2, data.shape[1]).swapaxes(1, 2).reshape(data.shape)
            if family == "gemma3" and name.endswith("norm.weight"):
                data = data - 1
            assert parameter.shape == data.shape, name
            parameter.copy_(torch.from_numpy(data.copy()))
    return family, model.eval()


def encoder(reader: gguf.GGUFReader, family: str):
    """Text → ids: not more than what makes a natural prompt."""
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    ids = {token: i for i, token in enumerate(tokens)}
    if family == "gemma3":
        def longest(text: str) -> list[int]:
            text, result = text.replace(" ", "▁"), [ids["<bos>"]]
            while text:
                size = next(n for n in range(min(24, len(text)), 0, -1) if text[:n] in ids)
                result.append(ids[text[:size]])
                text = text[size:]
            return result
        return longest
    merges = [tuple(m.split(" ")) for m in reader.get_field("tokenizer.ggml.merges").contents()]
    tokenizer = Tokenizer(bpe.BPE(ids, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return lambda text: tokenizer.encode(text).ids


@torch.no_grad()
def real_model(path: Path, stride: int) -> None:
    reader = gguf.GGUFReader(path)
    family, model = architecture_model(reader)
    encode = encoder(reader, family)
    cases, data = [], bytearray()
    for prompt in map(encode, PROMPTS):
        result = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False,
            min_new_tokens=GREEDY, max_new_tokens=GREEDY, return_dict_in_generate=True, output_logits=True,
            eos_token_id=None, pad_token_id=0)
        margin = min(float(top[0] - top[1]) for top in (row[0].topk(2).values for row in result.logits))
        tokens = result.sequences[0, len(prompt):].tolist()
        positions = [len(prompt) - 1, len(prompt) + GREEDY - 2]
        for row in (result.logits[0][0], result.logits[-1][0]):
            top = row.topk(50)
            data += row[::stride].numpy().astype("<f4").tobytes()
            data += top.indices.numpy().astype("<i4").tobytes() + top.values.numpy().astype("<f4").tobytes()
        cases.append({"prompt": prompt, "greedy": tokens, "positions": positions, "margin": round(margin, 5)})
    text = encode(PARAGRAPH)
    logits = model(torch.tensor([text]), use_cache=False).logits[0]
    logprobs = torch.log_softmax(logits.double(), -1)[torch.arange(len(text) - 1), torch.tensor(text[1:])]
    folder = out / "real"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{path.stem}.bin").write_bytes(data)
    (folder / f"{path.stem}.json").write_text(json.dumps({
        "stride": stride, "top": 50, "cases": cases, "text": text,
        "log_probabilities": [round(float(x), 6) for x in logprobs]}) + "\n")
    print(path.stem, [c["margin"] for c in cases], float(-logprobs.mean()), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny_models()
    torch.set_num_threads(2)
    if len(sys.argv) > 2:
        real_model(Path(sys.argv[2]) / "smollm2-135m-instruct.gguf", 16)
        real_model(Path(sys.argv[2]) / "gemma3-270m.gguf", 64)
    versions = {name: version(name) for name in ["gguf", "numpy", "torch", "transformers", "tokenizers"]}
    (out / "MANIFEST.json").write_text(json.dumps(
        {"versions": versions, "vocabulary": VOCABULARY, "models": list(configurations())}, indent=2) + "\n")
