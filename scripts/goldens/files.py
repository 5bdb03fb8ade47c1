#!/usr/bin/env python3
"""Goldens of the model-file tests, written by the `gguf`, `safetensors` and `transformers` packages.

    python scripts/goldens/files.py Tests/ModelsTests/Goldens/files

encodings/<NAME>.bin   random blocks of one ggml encoding, then their values as float32 (gguf.quants.dequantize)
gguf/<family>.gguf     a tiny random model of each family as llama.cpp's converter lays it out (gguf.GGUFWriter)
hf/<family>/           the same weights as `save_pretrained` writes them
configs/*.json         config.json variants; expected.json holds what transformers makes of them
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
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

out = Path(sys.argv[1])
rng = np.random.default_rng(20240601)

# Where the half-precision scales stand in a block: random bits there would give NaN and infinity.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0],
}


def blocks(name: str, count: int) -> np.ndarray:
    _, size = gguf.GGML_QUANT_SIZES[Type[name]]
    data = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in SCALES.get(name, []):
        scale = (rng.standard_normal(count) * 0.05).astype(np.float16)
        scale[0] = np.float16(6e-8)  # the smallest subnormal
        scale[1] = np.float16(-65504)
        data[:, offset : offset + 2] = scale.view(np.uint8).reshape(count, 2)
    return data


def encodings() -> None:
    folder = out / "encodings"
    folder.mkdir(parents=True)
    for name in [*SCALES, "F16", "BF16", "F32"]:
        count = 8 if name.endswith("_K") else 24
        if name in ("F16", "BF16", "F32"):
            values = rng.standard_normal(512).astype(np.float32)
            stored = gguf.quants.quantize(values, Type[name])
            raw = stored.view(np.uint8).reshape(-1)
            decoded = gguf.quants.dequantize(stored, Type[name])
        else:
            data = blocks(name, count)
            raw = data.reshape(-1)
            decoded = gguf.quants.dequantize(data, Type[name])
        (folder / f"{name}.bin").write_bytes(raw.tobytes() + decoded.astype(np.float32).tobytes())


# MARK: tiny models, in both formats

V, C, L, H, G, D, I, T = 64, 32, 2, 4, 2, 16, 48, 24


def tiny_models() -> dict[str, transformers.PreTrainedModel]:
    torch.manual_seed(1)
    common = dict(vocab_size=V, hidden_size=C, num_hidden_layers=L, num_attention_heads=H, num_key_value_heads=G,
                  head_dim=D, intermediate_size=I, max_position_embeddings=T, bos_token_id=1, eos_token_id=2)
    llama3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    qwen2 = {k: v for k, v in common.items() if k != "head_dim"}
    models = {
        "gpt2": transformers.GPT2LMHeadModel(transformers.GPT2Config(
            vocab_size=V, n_embd=C, n_layer=L, n_head=H, n_positions=T, n_inner=I, bos_token_id=1, eos_token_id=2)),
        "llama": transformers.LlamaForCausalLM(transformers.LlamaConfig(**common, rope_parameters=llama3)),
        "qwen2": transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**qwen2, tie_word_embeddings=True)),
        "qwen3": transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**common)),
        "gemma3": transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(
            **common, sliding_window=8, query_pre_attn_scalar=24, layer_types=["sliding_attention", "full_attention"])),
    }
    for model in models.values():
        for name, parameter in model.named_parameters():
            parameter.data = torch.randn_like(parameter) * 0.1
    return models


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from halves to interleaved pairs, as convert_hf_to_gguf.py does for Llama."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def gguf_model(family: str, model: transformers.PreTrainedModel) -> None:
    config = model.config
    writer = gguf.GGUFWriter(out / "gguf" / f"{family}.gguf", family)
    writer.add_context_length(T)
    writer.add_embedding_length(C)
    writer.add_block_count(L)
    writer.add_feed_forward_length(I)
    writer.add_head_count(H)
    if family == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_head_count_kv(G)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        if family != "qwen2":
            writer.add_key_length(D)
            writer.add_value_length(D)
        rope = config.rope_parameters
        writer.add_rope_freq_base((rope if "rope_theta" in rope else rope["full_attention"])["rope_theta"])
    if family == "gemma3":
        writer.add_sliding_window(config.sliding_window)
        writer.add_array("gemma3.attention.sliding_window_pattern", [True, False])
    if family == "llama":
        plain = 1.0 / (config.rope_parameters["rope_theta"] ** (np.arange(0, D, 2, dtype=np.float32) / D))
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
        writer.add_tensor("rope_freqs.weight", (plain / scaled.numpy()).astype(np.float32))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(V - 1)] + ["<|im_end|>"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], L)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data = tensor.numpy()
        if family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            data = data.T
        if family == "gemma3" and name.endswith("norm.weight"):
            data = data + 1
        if family == "llama" and ".q_proj." in name:
            data = permuted(data, H)
        if family == "llama" and ".k_proj." in name:
            data = permuted(data, G)
        key = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert key, name
        writer.add_tensor(key, np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def models() -> None:
    (out / "gguf").mkdir(parents=True)
    for family, model in tiny_models().items():
        folder = out / "hf" / family
        # Llama in two shards, Gemma in bfloat16.
        if family == "gemma3":
            gguf_model(family, model.to(torch.bfloat16).float())
            model.to(torch.bfloat16).save_pretrained(folder)
        else:
            gguf_model(family, model)
            model.save_pretrained(folder, max_shard_size="40KB" if family == "llama" else "5GB")
    settings = {"chat_template": [{"name": "tools", "template": "T"}, {"name": "default", "template": "{{ x }}"}]}
    (out / "hf/llama/tokenizer_config.json").write_text(json.dumps(settings))
    (out / "hf/qwen2/chat_template.jinja").write_text("{{ messages }}\n")
    (out / "hf/gpt2/tokenizer_config.json").write_text(json.dumps({"chat_template": "plain"}))
    generation = json.loads((out / "hf/llama/generation_config.json").read_text())
    generation["eos_token_id"] = [7, 2]
    (out / "hf/llama/generation_config.json").write_text(json.dumps(generation))


# MARK: configurations of published kinds, in older and newer forms

CONFIGS = {
    "llama3-old": {"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 16,
                   "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
                   "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
                   "rope_theta": 500000.0, "tie_word_embeddings": True, "bos_token_id": 128000,
                   "eos_token_id": [128001, 128008, 128009],
                   "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                    "original_max_position_embeddings": 8192, "rope_type": "llama3"}},
    "llama-linear": {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 4,
                     "num_attention_heads": 32, "intermediate_size": 11008, "max_position_embeddings": 4096,
                     "rms_norm_eps": 1e-06, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "mistral-old": {"model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 3,
                    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
                    "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-05,
                    "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": False},
    "qwen2-window": {"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "num_hidden_layers": 6,
                     "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864,
                     "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06,
                     "rope_theta": 1000000.0, "sliding_window": 1024, "use_sliding_window": True,
                     "max_window_layers": 4, "tie_word_embeddings": True},
    "gemma3-4b-old": {"model_type": "gemma3", "eos_token_id": [1, 106],
                      "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                                      "num_hidden_layers": 34, "sliding_window": 1024,
                                      "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}},
}


def expected(config) -> dict:
    text = config.get_text_config()
    types = getattr(text, "layer_types", None)
    window = getattr(text, "sliding_window", None)
    if text.model_type == "mistral":
        types = ["sliding_attention" if window else "full_attention"] * text.num_hidden_layers
    rope = text.rope_parameters
    nested = "full_attention" in rope

    def frequencies(kind: str) -> list[float]:
        parameters = rope[kind] if nested else rope
        if parameters["rope_type"] == "default":
            dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
            powers = torch.arange(0, dim, 2, dtype=torch.float64) / dim
            return (1.0 / parameters["rope_theta"] ** powers).tolist()
        return ROPE_INIT_FUNCTIONS[parameters["rope_type"]](
            text, torch.device("cpu"), **({"layer_type": kind} if nested else {}))[0].tolist()

    return {
        "vocabulary": text.vocab_size, "hidden": text.hidden_size, "layers": text.num_hidden_layers,
        "heads": text.num_attention_heads, "key_value_heads": text.num_key_value_heads,
        "head_size": getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        "intermediate": text.intermediate_size, "context": text.max_position_embeddings, "epsilon": text.rms_norm_eps,
        "tied": text.tie_word_embeddings,
        "windows": [window if kind == "sliding_attention" else None
                    for kind in types or ["full_attention"] * text.num_hidden_layers],
        "frequencies": frequencies("full_attention"),
        "window_frequencies": frequencies("sliding_attention") if nested else frequencies("full_attention"),
    }


def configurations() -> None:
    folder = out / "configs"
    folder.mkdir(parents=True)
    table = {}
    for name, members in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(members, indent=2) + "\n")
        cls = {"llama": transformers.LlamaConfig, "mistral": transformers.MistralConfig,
               "qwen2": transformers.Qwen2Config, "gemma3": transformers.Gemma3Config}[members["model_type"]]
        table[name] = expected(cls.from_dict(members))
    (folder / "expected.json").write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    for part in ["encodings", "gguf", "hf", "configs"]:
        shutil.rmtree(out / part, ignore_errors=True)
    encodings()
    models()
    configurations()
    versions = {"gguf": version("gguf"),
                "numpy": np.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
    (out / "manifest.json").write_text(json.dumps(versions, indent=2) + "\n")
