"""Looks at pictures through Pillow, for the tests in tests/it/external.rs.

check_outputs.py dump FIXTURES OUT   decodes each fixture to OUT/NAME.raw: width, height, channels (u32, little endian), 8-bit samples
check_outputs.py check FOLDER        checks the files that the tests wrote against the samples and metadata beside them
"""

import json
import pathlib
import struct
import sys

import numpy as np
from PIL import Image, ImageOps


def dump(fixtures, out):
    for path in sorted(fixtures.iterdir()):
        if path.suffix in (".py", ".txt") or path.name == "half_float.tiff":  # Pillow reads no 16-bit floats
            continue
        picture = Image.open(path)
        if picture.mode in ("I;16", "I;16B", "F", "CMYK", "I"):
            continue  # no 8-bit reading that both sides would agree on
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("1", "P"):
            picture = picture.convert("RGBA" if "transparency" in picture.info else "L" if picture.mode == "1" else "RGB")
        samples = np.asarray(picture)
        channels = 1 if samples.ndim == 2 else samples.shape[2]
        header = struct.pack("<3I", picture.width, picture.height, channels)
        (out / f"{path.name}.raw").write_bytes(header + samples.astype(np.uint8).tobytes())


def check(folder):
    count = 0
    for expected_path in sorted(folder.glob("*.json")):
        expected = json.loads(expected_path.read_text())
        path = folder / expected["file"]
        picture = Image.open(path)
        picture.load()
        assert list(picture.size) == expected["size"], (path.name, picture.size)
        assert picture.mode == expected["mode"], (path.name, picture.mode)
        kind = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}[expected["type"]]
        samples = np.frombuffer((folder / expected["samples"]).read_bytes(), kind)
        found = np.asarray(picture).astype(kind).reshape(-1)
        difference = np.abs(found.astype(np.float64) - samples.astype(np.float64)).max()
        assert difference <= expected["tolerance"], (path.name, difference)
        if expected["metadata"]:
            assert picture.info["icc_profile"] == (folder / "profile.icc").read_bytes(), path.name
            exif = picture.getexif()
            assert exif.get(0x0112, 1) == 1, (path.name, dict(exif))
            assert exif[0x010F] == "Camera Seven", (path.name, dict(exif))
            assert exif.get_ifd(0x8769)[0xA002] == picture.width, path.name
            assert exif.get_ifd(0x8769)[0xA003] == picture.height, path.name
            assert exif.get_ifd(0x8825)[1] == "N", path.name
            xmp = picture.info.get("xmp") or picture.tag_v2[700]
            assert 'tiff:Orientation="1"' in xmp.decode() and "Füße 写真" in xmp.decode(), path.name
            if path.suffix != ".webp":
                assert abs(float(picture.info["dpi"][0]) - 300) < 0.1, (path.name, picture.info["dpi"])
        if path.suffix == ".jpg" and picture.mode == "RGB":
            assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3, picture.layer
        count += 1
    print(count)


if __name__ == "__main__":
    if sys.argv[1] == "dump":
        dump(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    else:
        check(pathlib.Path(sys.argv[2]))
