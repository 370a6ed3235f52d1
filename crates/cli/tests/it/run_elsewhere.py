"""Runs converted models in ONNX Runtime and ncnn.

Usage: run_elsewhere.py PICTURE ENLARGED MODEL.onnx MODEL.param      (needs Pillow, numpy, onnxruntime, ncnn)

Prints for each model the largest difference, in levels of 255, of its picture from ENLARGED.
"""
import sys
from pathlib import Path

import ncnn
import numpy as np
import onnxruntime
from PIL import Image

PICTURE, ENLARGED, ONNX, PARAM = sys.argv[1:5]


def run_onnx(planes):
    session = onnxruntime.InferenceSession(ONNX, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": planes[None]})[0][0]


def run_ncnn(planes):
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    assert net.load_param(PARAM) == 0 and net.load_model(str(Path(PARAM).with_suffix(".bin"))) == 0
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(planes))
    return np.array(extractor.extract("output")[1])


picture = np.asarray(Image.open(PICTURE).convert("RGB"), np.float32) / 255
expected = np.asarray(Image.open(ENLARGED).convert("RGB"), np.int32)
planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
for run in (run_onnx, run_ncnn):
    levels = np.rint(np.clip(run(planes), 0, 1).transpose(1, 2, 0) * 255).astype(np.int32)
    print(np.abs(levels - expected).max())
