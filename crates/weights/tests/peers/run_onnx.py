#!/usr/bin/env python3
"""Checks .onnx files with onnx.checker and runs them in ONNX Runtime.

Usage: python run_onnx.py MODEL.onnx PAIR.npz ...        (needs numpy, onnx and onnxruntime from PyPI)

PAIR.npz holds `input` and the `output` to expect. Prints a line for each model: its file name and the largest
difference from the expected output, for the picture itself and for a batch of two of another size (which must run).
"""
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def opened(model_path):
    """A function from `[batch, channels, height, width]` to the enlarged picture."""
    onnx.checker.check_model(onnx.load(model_path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
    return lambda picture: session.run(["output"], {"input": picture})[0]


def largest_difference(model_path, pair_path):
    run = opened(model_path)
    pair = np.load(pair_path)
    output = run(pair["input"])
    assert output.shape == pair["output"].shape, f"{output.shape} instead of {pair['output'].shape}"
    scale = output.shape[2] // pair["input"].shape[2]
    other = np.zeros((2, pair["input"].shape[1], 8, 16), np.float32)
    other_shape = run(other).shape
    assert other_shape[2:] == (8 * scale, 16 * scale), other_shape
    return float(np.abs(output - pair["output"]).max())


def main():
    arguments = sys.argv[1:]
    for model_path, pair_path in zip(arguments[::2], arguments[1::2]):
        print(Path(model_path).name, largest_difference(model_path, pair_path))


if __name__ == "__main__":
    main()
