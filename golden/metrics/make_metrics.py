"""Writes metrics.json: LPIPS with networks of made-up weights, and MS-SSIM, as other programs compute them.

  python3 make_metrics.py SHARED_DATA_FOLDER     # needs torch, torchvision, lpips, numpy, pillow

Weights and pictures come from a formula that the test computes as well, so that none of them is kept here.
"""
import json
import pathlib
import sys

import lpips
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image

HERE = pathlib.Path(__file__).parent


def uniform(number, count):
    """Numbers in 0..1: multiples of the golden ratio, a stretch of its own for each tensor."""
    index = np.arange(count, dtype=np.uint64) + np.uint64(number * 1_000_003)
    return ((index * np.uint64(2654435761)) % np.uint64(2**32)).astype(np.float64) / 2**32


def made(number, shape):
    count = int(np.prod(shape))
    # As wide as keeps the size of what goes through.
    width = 2 * np.sqrt(6 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return torch.from_numpy(((uniform(number, count) - 0.5) * width).astype(np.float32).reshape(shape))


def head(number, channels):
    return torch.from_numpy((uniform(number, channels) / channels).astype(np.float32).reshape(1, channels, 1, 1))


def pictures(width, height):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    reference = ((x * 7 + y * 13 + c * 29) % 64) / 63
    candidate = np.clip(reference + ((x * 3 + y * 5 + c) % 9 - 4) / 40, 0, 1)
    as_tensor = lambda a: torch.from_numpy(a.astype(np.float32).transpose(2, 0, 1)[None])
    return as_tensor(reference), as_tensor(candidate)


def with_network(kind, features, sizes):
    model = lpips.LPIPS(net=kind, pretrained=False, pnet_rand=True, verbose=False).eval()
    tensors = [(f"features.{name}", list(value.shape)) for name, value in features.state_dict().items()]
    values = {name: made(number, shape) for number, (name, shape) in enumerate(tensors)}
    used = 0
    for name, parameter in model.net.named_parameters():
        parameter.data = values["features." + name.split(".", 1)[1]]
        used += 1
    assert used == len(tensors)
    heads = []
    for index, lin in enumerate(model.lins):
        channels = lin.model[-1].weight.shape[1]
        lin.model[-1].weight.data = head(100 + index, channels)
        heads.append([f"lin{index}.model.1.weight", [1, channels, 1, 1]])
    with torch.no_grad():
        distances = [[w, h, model(*pictures(w, h), normalize=True).item()] for w, h in sizes]
    return {"tensors": tensors, "heads": heads, "distances": distances}


def ms_ssim_y(a, b, border):
    def luma(picture):
        rgb = np.asarray(picture.convert("RGB")).astype(np.float64)[border:-border, border:-border]
        return torch.from_numpy(rgb @ np.array([65.481, 128.553, 24.966]) / 255 + 16)[None, None]

    x, y = luma(a), luma(b)
    tap = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(tap, tap)[None, None] / tap.sum() ** 2
    mean = lambda t: F.conv2d(t, window)
    c1, c2, result = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 1.0
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    for scale, weight in enumerate(weights):
        mx, my = mean(x), mean(y)
        contrast = (2 * (mean(x * y) - mx * my) + c2) / (mean(x * x) - mx**2 + mean(y * y) - my**2 + c2)
        brightness = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        last = scale + 1 == len(weights)
        result *= ((contrast * brightness) if last else contrast).mean().item() ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return result


def main():
    data = pathlib.Path(sys.argv[1])
    golden = {
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__, "lpips": "0.1.4"},
        "alex": with_network("alex", torchvision.models.alexnet(weights=None).features, [(64, 48), (31, 35)]),
        "squeeze": with_network("squeeze", torchvision.models.squeezenet1_1(weights=None).features, [(64, 48), (25, 38)]),
        "vgg": with_network("vgg", torchvision.models.vgg16(weights=None).features, [(17, 22)]),
        "ms_ssim_y": {},
    }
    for name in ["img_001.png", "img_003.png", "img_004.png"]:
        hr, sr = Image.open(data / "eval/Set5/HR" / name), Image.open(data / "golden/bicubic_Set5" / name)
        golden["ms_ssim_y"][name] = ms_ssim_y(hr.crop((0, 0, *sr.size)), sr, 4)
    (HERE / "metrics.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
