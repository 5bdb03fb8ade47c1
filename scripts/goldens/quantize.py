#!/usr/bin/env python3
"""Goldens for the encoding of weights: what the gguf package writes for the same values.

    python scripts/goldens/quantize.py      (needs gguf, numpy)

Tests/ModelsTests/Goldens/quantize/
  values.bin   float32 values, blocks of 32
  Q8_0.bin     gguf.quants.quantize of them
  F16.bin      the same as float16
  Q4_1.bin     the same; ours may differ, but must not lose more
"""
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

out = Path(__file__).resolve().parents[2] / "Tests/ModelsTests/Goldens/quantize"
out.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(20261123)

blocks = [
    random.normal(0, 0.02, (160, 32)),
    random.normal(0, 1, (40, 32)) * 10.0 ** random.integers(-4, 3, (40, 1)),
    random.standard_t(3, (60, 32)) * 0.05,  # outliers
    np.zeros((1, 32)),
    np.full((1, 32), 0.75),
    np.full((1, 32), -3.0),
    np.eye(32)[:4] * 5,
    (np.arange(32) - 15.5)[None, :] / 127,
    np.where(np.arange(32) % 2, 1.5, -1.5)[None, :] / 127 * np.ones((1, 32)),
]
values = np.concatenate(blocks).astype(np.float32)
values.tofile(out / "values.bin")
for kind in [Type.Q8_0, Type.F16, Type.Q4_1]:
    gguf.quants.quantize(values, kind).tofile(out / f"{kind.name}.bin")
