"""Runs converted models in ONNX Runtime and ncnn.

Usage: run_elsewhere.py PICTURE ENLARGED MODEL.onnx MODEL.param      (needs Pillow, numpy, onnx, onnxruntime, ncnn)

Prints for each model the largest difference, in levels of 255, of its picture from ENLARGED.
"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "weights/tests/peers"))
import run_ncnn  # noqa: E402
import run_onnx  # noqa: E402

PICTURE, ENLARGED, ONNX, PARAM = sys.argv[1:5]

planes = (np.asarray(Image.open(PICTURE).convert("RGB"), np.float32) / 255).transpose(2, 0, 1)
expected = np.asarray(Image.open(ENLARGED).convert("RGB"), np.int32)
for output in (run_onnx.opened(ONNX)(planes[None])[0], run_ncnn.run(PARAM, planes)):
    levels = np.rint(np.clip(output, 0, 1).transpose(1, 2, 0) * 255).astype(np.int32)
    print(np.abs(levels - expected).max())
