#!/usr/bin/env python3
"""Writes the .param and .bin files of this folder: tiny networks as pnnx leaves them.

Usage: python make_ncnn.py        (needs torch, onnx, pnnx and numpy from PyPI)

Beside NAME.param and NAME.bin, NAME.npz holds the weights under the names that a reader must give them. MANIFEST says
with which versions they were made, and their sha256.
"""
import importlib.metadata
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "onnx"))
from make_onnx import Compact, RrdbNet, manifest, repeating, save_weights, seeded  # noqa: E402


def convert(name, network, half):
    network = seeded(network)
    picture = torch.rand(1, 3, 8, 12)
    with tempfile.TemporaryDirectory() as scratch:
        traced = Path(scratch) / "network.pt"
        torch.jit.trace(network, picture).save(traced)
        outputs = [f"ncnn{end}={FOLDER / name}.{end}" for end in ("param", "bin")]
        command = [Path(sys.executable).with_name("pnnx"), traced, "inputshape=[1,3,8,12]", f"fp16={int(half)}", *outputs]
        subprocess.run(command, check=True, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    save_weights(network, name, FOLDER)


def main():
    warnings.filterwarnings("ignore")
    convert("rrdb_x2_unshuffle_f16", RrdbNet(unshuffle=2), half=True)
    convert("esrgan_plus_x3_f32", RrdbNet(enlargements=(3,), bypass=True), half=False)
    convert("compact_x2_f16", Compact(), half=True)
    convert("esrgan_plus_x2_replicate_f16", repeating(RrdbNet(enlargements=(2,), bypass=True)), half=True)
    manifest(FOLDER, (".param", ".bin", ".npz"), f"torch {torch.__version__}, pnnx {importlib.metadata.version('pnnx')}")


if __name__ == "__main__":
    main()
