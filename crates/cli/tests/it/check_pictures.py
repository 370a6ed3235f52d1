"""Looks at enlarged pictures with Pillow, ImageMagick and exiftool.

Usage: check_pictures.py INPUTS OUTPUTS      (needs Pillow, numpy; ImageMagick 6 or 7 and exiftool on the PATH)

Prints a line `ok NAME` for each picture whose depth, channels, profile, size, orientation and colours are as its input asks.
"""
import json, shutil, subprocess, sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

INPUTS, OUTPUTS = map(Path, sys.argv[1:3])
IDENTIFY = ["magick", "identify"] if shutil.which("magick") else ["identify"]
CONVERT = ["magick"] if shutil.which("magick") else [shutil.which("convert-im6.q16") or "convert"]


def identify(path):
    """Depth and colour space as ImageMagick sees them."""
    out = subprocess.run([*IDENTIFY, "-format", "%z %[channels] %w %h", f"{path}[0]"], capture_output=True, text=True, check=True)
    depth, channels, width, height = out.stdout.split()
    return int(depth), channels, int(width), int(height)


def samples16(path, channels):
    """All samples as 16-bit integers, by ImageMagick; `channels` is its name for their order."""
    out = subprocess.run([*CONVERT, str(path), "-depth", "16", "-endian", "LSB", f"{channels}:-"], capture_output=True, check=True)
    return np.frombuffer(out.stdout, "<u2")


def exif(path):
    out = subprocess.run(["exiftool", "-json", "-n", "-EXIF:all", "-XMP:all", "-File:all", str(path)], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)[0]


def same_colours(name, source, limit=0.05):
    """The output, shrunk by its scale, is the input but for what the network restores."""
    source = np.asarray(source, np.float64)
    output = np.asarray(Image.open(OUTPUTS / name).convert("RGB"), np.float64)
    height, width = source.shape[:2]
    assert output.shape[:2] == (4 * height, 4 * width), (name, source.shape, output.shape)
    shrunk = output.reshape(height, 4, width, 4, 3).mean((1, 3))
    difference = np.abs(shrunk - source).mean() / 255
    assert difference < limit, f"{name}: mean difference {difference:.3f}"


def main():
    name = "rgba16_icc.png"
    depth, channels, *_ = identify(OUTPUTS / name)
    assert (depth, channels) == (16, "srgba"), (depth, channels)
    assert Image.open(OUTPUTS / name).info["icc_profile"] == Image.open(INPUTS / name).info["icc_profile"], "profile"
    # Values that 8 bits could hold are multiples of 257: nearly none may be.
    through_8_bits = (samples16(OUTPUTS / name, "rgb") % 257 == 0).mean()
    assert through_8_bits < 0.5, f"{through_8_bits:.2f} of the samples look like 8 bits"
    alpha = np.asarray(Image.open(INPUTS / name).convert("RGBA"))[..., 3]
    enlarged = np.asarray(Image.open(OUTPUTS / name).convert("RGBA"))[..., 3].reshape(alpha.shape[0], 4, alpha.shape[1], 4)
    assert np.abs(enlarged.mean((1, 3)) - alpha).mean() < 15, "alpha"
    print("ok", name)

    name = "cmyk.jpg"
    depth, channels, *_ = identify(OUTPUTS / name)
    assert (depth, channels) == (8, "srgb"), (depth, channels)
    same_colours(name, Image.open(INPUTS / name).convert("RGB"))
    assert exif(OUTPUTS / name)["YCbCrSubSampling"] == "1 1", "chroma is not subsampled"
    print("ok", name)

    for name, expected in (("gray8.tiff", 8), ("gray16.tiff", 16), ("gray_f32.tiff", 32)):
        depth, channels, *_ = identify(OUTPUTS / name)
        assert (depth, channels) == (expected, "gray"), (name, depth, channels)
        assert len(Image.open(OUTPUTS / name).getbands()) == 1
        print("ok", name)

    name = "orientation_6.jpg"
    same_colours(name, ImageOps.exif_transpose(Image.open(INPUTS / name)).convert("RGB"))
    tags = exif(OUTPUTS / name)
    assert tags.get("Orientation", 1) == 1, tags
    assert (tags["ExifImageWidth"], tags["ExifImageHeight"]) == (tags["ImageWidth"], tags["ImageHeight"]), tags
    assert tags["Make"] == "Camera Seven" and tags["Source"] == exif(INPUTS / name)["Source"], tags
    print("ok", name)


main()
