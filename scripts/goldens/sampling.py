#!/usr/bin/env python3
"""Goldens for the sampler: what Hugging Face's logits processors make of random logits.

    python scripts/goldens/sampling.py        (needs torch and transformers)

Writes Tests/InferenceTests/Goldens/sampling.json. Presence and frequency penalties are not part of transformers; they
follow the formula in OpenAI's API reference: logit[j] -= count[j] * frequency + (count[j] > 0) * presence.
"""
import json
import pathlib
import random

import torch
import transformers
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

CASES = 160
generator = random.Random(20240607)


def one_case(index):
    size = generator.choice([16, 60, 257, 1000])
    spread = generator.choice([1.0, 4.0, 12.0])
    # Multiples of 1/1024 are short in decimal and exact in float32.
    logits = [round(generator.gauss(0, spread) * 1024) / 1024 for _ in range(size)]
    prompt = [generator.randrange(size) for _ in range(generator.randrange(1, 12))]
    output = [generator.randrange(size) for _ in range(generator.randrange(0, 20))]

    def maybe(share, value, default):
        return value if generator.random() < share else default

    parameters = {
        "temperature": maybe(0.8, generator.choice([0.3, 0.7, 1.3, 2.0]), 1.0),
        "topK": maybe(0.4, generator.randrange(1, 40), 0),
        "topP": maybe(0.5, generator.choice([0.1, 0.5, 0.9, 0.95, 0.999]), 1.0),
        "minP": maybe(0.3, generator.choice([0.01, 0.1, 0.5]), 0.0),
        "repetitionPenalty": maybe(0.5, generator.choice([0.8, 1.1, 1.5]), 1.0),
        "presencePenalty": maybe(0.4, generator.choice([-1.5, 0.5, 2.0]), 0.0),
        "frequencyPenalty": maybe(0.4, generator.choice([-0.5, 0.25, 1.0]), 0.0),
    }
    raw = torch.tensor([logits], dtype=torch.float32)
    seen = torch.tensor([prompt + output])
    scores = raw
    if parameters["repetitionPenalty"] != 1:
        scores = RepetitionPenaltyLogitsProcessor(parameters["repetitionPenalty"])(seen, scores)
    counts = torch.bincount(torch.tensor(output, dtype=torch.long), minlength=size).to(torch.float32)[None]
    scores = scores - counts * parameters["frequencyPenalty"] - (counts > 0) * parameters["presencePenalty"]
    greedy = int(scores.argmax())
    if parameters["temperature"] != 1:
        scores = TemperatureLogitsWarper(parameters["temperature"])(seen, scores)
    if parameters["topK"]:
        scores = TopKLogitsWarper(parameters["topK"])(seen, scores)
    if parameters["topP"] < 1:
        scores = TopPLogitsWarper(parameters["topP"])(seen, scores)
    if parameters["minP"]:
        scores = MinPLogitsWarper(parameters["minP"])(seen, scores)
    probabilities = torch.softmax(scores[0].to(torch.float64), dim=-1)
    kept = [[i, float(f"{probabilities[i].item():.8g}")] for i in range(size) if probabilities[i] > 1e-36]
    # Of a large set the first hundred and the count are enough.
    logprobs = torch.log_softmax(raw[0].to(torch.float64), dim=-1)
    top = torch.topk(logprobs, 5)
    return {
        "logits": logits,
        "prompt": prompt,
        "output": output,
        "parameters": parameters,
        "greedy": greedy,
        "keptCount": len(kept),
        "kept": kept[:100],
        "topLogprobs": [float(f"{v:.8g}") for v in top.values.tolist()],
    }


def main():
    cases = [one_case(i) for i in range(CASES)]
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests/InferenceTests/Goldens/sampling.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}
    path.write_text(json.dumps(document, separators=(",", ":")).replace('{"logits"', '\n{"logits"') + "\n")


if __name__ == "__main__":
    main()
