#!/usr/bin/env python3
"""Goldens of LoRA adapters: what `transformers` with `peft` computes for the tiny models of models.py.

    python -P scripts/goldens/adapters.py Tests/ModelsTests/Goldens/models Tests/ModelsTests/Goldens/adapters

<model>-<name>/            a random adapter as PEFT's `save_pretrained` writes it
<model>-<name>.gguf        the same, where there is one, as llama.cpp's convert_lora_to_gguf lays it out
<model>-<name>.json, .bin  tokens, and the logits of the last positions with the adapter, float32 [rows, vocabulary]
"""
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import peft
import torch
import transformers

models, out = Path(sys.argv[1]), Path(sys.argv[2])
ROTARY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GGUF = dict(zip(ROTARY, ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]))
# Model, name, what LoraConfig is told, dtype of the saved matrices, whether there is a GGUF file too.
ADAPTERS = [
    ("llama", "all", dict(r=6, lora_alpha=12, target_modules="all-linear"), torch.float32, True),
    ("llama", "ranks", dict(r=8, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"v_proj": 3},
                            alpha_pattern={"layers.1.self_attn.q_proj": 24}), torch.float16, False),
    ("llama3", "stabilised", dict(r=16, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "k_proj"]), torch.bfloat16, False),
    ("gpt2", "conv", dict(r=4, lora_alpha=16, fan_in_fan_out=True, target_modules=["c_attn", "c_proj", "c_fc"]), torch.float32, True),
    ("qwen2", "attention", dict(r=5, lora_alpha=5, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]), torch.float32, False),
    ("qwen3", "all", dict(r=9, lora_alpha=18, target_modules="all-linear"), torch.float32, True),
    ("gemma3", "feedforward", dict(r=2, lora_alpha=4, target_modules=["gate_proj", "up_proj", "down_proj"], layers_to_transform=[1, 5]), torch.float32, True),
    ("gemma3", "all", dict(r=3, lora_alpha=6, target_modules="all-linear"), torch.float32, False),
]


def interleaved(rows, heads):
    """Rows of a query or key matrix as GGUF files of the Llama family have them."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write_gguf(path, model, adapter, alpha):
    architecture = model.config.model_type.removesuffix("_text")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, tensor in sorted(adapter.items()):
        parts = name.split(".")
        layer = next(part for part in parts if part.isdigit())
        module, matrix = parts[-3], parts[-2]
        values = tensor.float().numpy()
        if architecture == "gpt2":
            kind = {"attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}[
                f"{parts[-4]}.{module}"]
        else:
            kind = GGUF[module]
        if architecture == "llama" and matrix == "lora_B" and module in ("q_proj", "k_proj"):
            heads = model.config.num_attention_heads if module == "q_proj" else model.config.num_key_value_heads
            values = interleaved(values, heads)
        writer.add_tensor(f"blk.{layer}.{kind}.weight.{matrix.lower()}", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
for index, (base, name, options, dtype, has_gguf) in enumerate(ADAPTERS):
    torch.manual_seed(1000 + index)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        models / base / "hf", dtype=torch.float32, attn_implementation="eager")
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    for key, parameter in adapted.named_parameters():
        if "lora_" in key:
            # Rounded to the type they are saved in; large enough to change what the model says.
            parameter.data = (torch.randn_like(parameter) * 0.15).to(dtype).float()
    adapted.eval()
    tokens = torch.randint(3, model.config.vocab_size, (40,))
    with torch.no_grad():
        logits = adapted(tokens[None]).logits[0, -6:].numpy()
        with adapted.disable_adapter():
            plain = adapted(tokens[None]).logits[0, -6:].numpy()
    folder = out / f"{base}-{name}"
    for key, parameter in adapted.named_parameters():
        if "lora_" in key:
            parameter.data = parameter.data.to(dtype)
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    configuration = json.loads((folder / "adapter_config.json").read_text())
    configuration["base_model_name_or_path"] = base
    (folder / "adapter_config.json").write_text(json.dumps(configuration, indent=1, sort_keys=True) + "\n")
    if has_gguf:
        state = peft.get_peft_model_state_dict(adapted)
        write_gguf(out / f"{base}-{name}.gguf", model, state, options["lora_alpha"])
    logits.astype("<f4").tofile(out / f"{base}-{name}.bin")
    (out / f"{base}-{name}.json").write_text(json.dumps(dict(
        base=base, tokens=tokens.tolist(), rows=len(logits), hasGGUF=has_gguf, change=float(np.abs(logits - plain).max()),
        versions={package: version(package) for package in ["transformers", "peft", "torch", "gguf"]})) + "\n")
    print(folder.name, "largest logit", np.abs(logits).max(), "largest change", np.abs(logits - plain).max())
