#!/usr/bin/env python3
"""Runs .param and .bin files in ncnn.

Usage: python run_ncnn.py MODEL.param PAIR.npz ...        (needs numpy and ncnn from PyPI)

PAIR.npz holds `input` and the `output` to expect. Prints a line for each model: its file name and the largest
difference from the expected output. Half-precision arithmetic is switched off.
"""
import sys
from pathlib import Path

import ncnn
import numpy as np


def run(model_path, picture):
    """The enlarged picture of `[channels, height, width]`."""
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    assert net.load_param(str(model_path)) == 0, "the .param file cannot be loaded"
    assert net.load_model(str(Path(model_path).with_suffix(".bin"))) == 0, "the .bin file cannot be loaded"
    picture = np.ascontiguousarray(picture)  # ncnn.Mat borrows it
    extractor = net.create_extractor()
    assert extractor.input("data", ncnn.Mat(picture)) == 0, "there is no input `data`"
    status, output = extractor.extract("output")
    assert status == 0, "there is no output `output`"
    return np.array(output)


def largest_difference(model_path, pair_path):
    pair = np.load(pair_path)
    output = run(model_path, pair["input"][0])[None]
    assert output.shape == pair["output"].shape, f"{output.shape} instead of {pair['output'].shape}"
    return float(np.abs(output - pair["output"]).max())


def main():
    arguments = sys.argv[1:]
    for model_path, pair_path in zip(arguments[::2], arguments[1::2]):
        print(Path(model_path).name, largest_difference(model_path, pair_path))


if __name__ == "__main__":
    main()
