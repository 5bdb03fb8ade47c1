#!/usr/bin/env python3
"""Goldens of scores and embeddings: what `transformers` gives for the tiny models (float32, eager attention, CPU).

    python -P scripts/goldens/scoring.py Tests Tests/InferenceTests/Goldens/scoring.json

For each model some texts, as tokens, with the natural logarithm of the probability of every token but the first, whether it
is the most probable one, and `last_hidden_state` as the mean over all tokens and of the last token.

And prompts with continuations, cut as lm-eval-harness does (`_encode_pair`), by SmolLM2's tokenizer.
"""
import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

MODELS = ["gpt2", "llama", "llama3", "qwen2", "qwen3", "gemma3"]
LENGTHS = [2, 17, 40, 100]


def rounded(values: torch.Tensor) -> list[float]:
    return [round(float(x), 6) for x in values]


@torch.no_grad()
def texts(folder: Path, generator: torch.Generator) -> list[dict]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    result = []
    for length in LENGTHS:
        tokens = torch.randint(3, model.config.vocab_size, (length,), generator=generator).tolist()
        # The second half is what the model itself would write, so that some tokens are the most probable ones.
        for place in range(length // 2, length):
            tokens[place] = int(model(torch.tensor([tokens[:place]]), use_cache=False).logits[0, -1].argmax())
        batch = torch.tensor([tokens])
        logits = model(batch, use_cache=False).logits[0, :-1].double()
        logprobs = torch.log_softmax(logits, -1)[torch.arange(length - 1), batch[0, 1:]]
        states = model.base_model(batch, use_cache=False).last_hidden_state[0].double()
        result.append({
            "tokens": tokens, "logprobs": rounded(logprobs), "greedy": (logits.argmax(-1) == batch[0, 1:]).tolist(),
            "mean": rounded(states.mean(0)), "last": rounded(states[-1])})
    return result


PAIRS = [
    ("The capital of France is", " Paris"), ("The capital of France is ", "Paris"), ("Question: 2+2?\nAnswer:", " 4"),
    ("Question: 2+2?\nAnswer: \n", "4 and 5"), ("un", "believable"), ("def f(x):\n    ", "return x\n"),
    ("The harbour lies open to the nor", "th"), ("日本の首都は", "東京です"), ("a\u00a0\u2003", "b"), ("<|im_start|>user", "\nHi"),
]


def pair(tokenizer: Tokenizer, context: str, continuation: str) -> dict:
    spaces = len(context) - len(context.rstrip())
    start, rest = (context[:-spaces], context[-spaces:] + continuation) if spaces else (context, continuation)
    whole = tokenizer.encode(start + rest, add_special_tokens=False).ids
    return {"prompt": context, "continuation": continuation, "tokens": whole,
            "first_scored": len(tokenizer.encode(start, add_special_tokens=False).ids)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    tests, out = Path(sys.argv[1]), Path(sys.argv[2])
    models = tests / "ModelsTests/Goldens/models"
    tokenizer = Tokenizer.from_file(str(next(tests.glob("TokenizersTests/Goldens/**/smollm2/tokenizer.json"))))
    generator = torch.Generator().manual_seed(1)
    cases = {name: texts(models / name / "hf", generator) for name in MODELS}
    versions = {name: version(name) for name in ["tokenizers", "torch", "transformers"]}
    pairs = [pair(tokenizer, *texts) for texts in PAIRS]
    out.write_text(json.dumps({"versions": versions, "models": cases, "pairs": pairs}) + "\n")
