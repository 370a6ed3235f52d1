#!/usr/bin/env python3
"""Writes the .onnx files of this folder: tiny networks as PyTorch's exporters leave them.

Usage: python make_onnx.py        (needs torch, onnx, onnxscript and numpy from PyPI)

Beside NAME.onnx, NAME.npz holds the weights under the names that a reader must give them. MANIFEST says with which
versions they were made, and their sha256.
"""
import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).resolve().parent
SEED = 1809  # the paper is arXiv 1809.00219
RESIDUAL_SCALE = 0.2


def leaky(x):
    return F.leaky_relu(x, negative_slope=0.2)


def conv3x3(inputs, outputs):
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


class ResidualDenseBlock(nn.Module):
    def __init__(self, features, growth, bypass):
        super().__init__()
        for index in range(1, 6):
            outputs = features if index == 5 else growth
            self.add_module(f"conv{index}", conv3x3(features + (index - 1) * growth, outputs))
        if bypass:
            self.conv1x1 = nn.Conv2d(features, growth, kernel_size=1, bias=False)

    def forward(self, x):
        first = leaky(self.conv1(x))
        second = leaky(self.conv2(torch.cat((x, first), 1)))
        if hasattr(self, "conv1x1"):
            second = second + self.conv1x1(x)
        third = leaky(self.conv3(torch.cat((x, first, second), 1)))
        fourth = leaky(self.conv4(torch.cat((x, first, second, third), 1)))
        if hasattr(self, "conv1x1"):
            fourth = fourth + second
        return self.conv5(torch.cat((x, first, second, third, fourth), 1)) * RESIDUAL_SCALE + x


class Rrdb(nn.Module):
    def __init__(self, features, growth, bypass):
        super().__init__()
        for index in (1, 2, 3):
            self.add_module(f"rdb{index}", ResidualDenseBlock(features, growth, bypass))

    def forward(self, x):
        return self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL_SCALE + x


class RrdbNet(nn.Module):
    """`enlargements`: the factor before each upconv. `unshuffle`: of the input, by views as BasicSR does it."""

    def __init__(self, channels=3, features=2, growth=1, blocks=1, enlargements=(2, 2), unshuffle=1, bypass=False):
        super().__init__()
        self.enlargements, self.unshuffle = enlargements, unshuffle
        self.conv_first = conv3x3(channels * unshuffle**2, features)
        self.body = nn.Sequential(*(Rrdb(features, growth, bypass) for _ in range(blocks)))
        self.conv_body = conv3x3(features, features)
        for index in range(len(enlargements)):
            self.add_module(f"conv_up{index + 1}", conv3x3(features, features))
        self.conv_hr = conv3x3(features, features)
        self.conv_last = conv3x3(features, channels)

    def forward(self, x):
        if self.unshuffle > 1:
            step = self.unshuffle
            batch, channels, height, width = x.size()
            x = x.view(batch, channels, height // step, step, width // step, step)
            x = x.permute(0, 1, 3, 5, 2, 4).reshape(batch, channels * step**2, height // step, width // step)
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for index, factor in enumerate(self.enlargements):
            x = leaky(getattr(self, f"conv_up{index + 1}")(F.interpolate(x, scale_factor=factor, mode="nearest")))
        return self.conv_last(leaky(self.conv_hr(x)))


class Compact(nn.Module):
    """SRVGGNetCompact: convolutions with PReLU at low resolution, then pixel shuffle."""

    def __init__(self, features=3, inner=2, scale=2):
        super().__init__()
        self.scale = scale
        layers = []
        for index in range(inner + 1):
            layers += [conv3x3(3 if index == 0 else features, features), nn.PReLU(features)]
        self.body = nn.ModuleList([*layers, conv3x3(features, 3 * scale**2)])

    def forward(self, x):
        features = x
        for layer in self.body:
            features = layer(features)
        return F.pixel_shuffle(features, self.scale) + F.interpolate(x, scale_factor=self.scale, mode="nearest")


class HalfInside(nn.Module):
    """A network of half precision between casts."""

    def __init__(self, network):
        super().__init__()
        self.network = network.half()

    def forward(self, x):
        return self.network(x.half()).float()


def repeating(network):
    """Its 3x3 convolutions with the edge repeated around their input instead of zeros."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding_mode = "replicate"
    return network


def seeded(network):
    """Every weight and slope random, so that no two tensors are equal."""
    generator = torch.Generator().manual_seed(SEED)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    return network.eval()


def save_weights(network, name, folder=FOLDER):
    arrays = {key: value.float().numpy() for key, value in network.state_dict().items()}
    np.savez_compressed(folder / f"{name}.npz", **arrays)


def export(name, network, wrapper=None, channels=3, **options):
    network = seeded(network)
    whole = wrapper(network) if wrapper else network
    picture = torch.rand(1, channels, 8, 12)
    path = FOLDER / f"{name}.onnx"
    ends = dict(input_names=["input"], output_names=["output"])
    torch.onnx.export(whole, (picture,), path, **ends, **options)
    model = onnx.load(path)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:], model.graph.metadata_props[:]
    onnx.save(model, path)
    save_weights(network, name)


def manifest(folder, suffixes, versions):
    lines = [f"made with {versions}, seed {SEED}"]
    for path in sorted(path for path in folder.iterdir() if path.suffix in suffixes):
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    (folder / "MANIFEST").write_text("\n".join(lines) + "\n")


def main():
    warnings.filterwarnings("ignore")
    anything = {0: "batch", 2: "height", 3: "width"}
    dynamic = dict(dynamic_axes={"input": anything, "output": anything})
    export("rrdb_x4_opset11", RrdbNet(), dynamo=False, opset_version=11)
    export("rrdb_x2_unshuffle_opset17_dynamic", RrdbNet(unshuffle=2), dynamo=False, opset_version=17, **dynamic)
    export("rrdb_gray_x1_half_opset13", RrdbNet(channels=1, enlargements=()), wrapper=HalfInside, channels=1,
           dynamo=False, opset_version=13)
    export("rrdb_x3_dynamo", RrdbNet(enlargements=(3,)), dynamo=True, external_data=False,
           dynamic_shapes=({2: "height", 3: "width"},))
    export("esrgan_plus_x4_opset13", RrdbNet(bypass=True), dynamo=False, opset_version=13)
    export("compact_x2_opset9_dynamic", Compact(), dynamo=False, opset_version=9, **dynamic)
    export("rrdb_x2_replicate_dynamo", repeating(RrdbNet(enlargements=(2,))), dynamo=True, external_data=False,
           dynamic_shapes=({2: "height", 3: "width"},))
    export("compact_x2_replicate_opset9", repeating(Compact()), dynamo=False, opset_version=9)
    manifest(FOLDER, (".onnx", ".npz"), f"torch {torch.__version__}, onnx {onnx.__version__}")


if __name__ == "__main__":
    main()
