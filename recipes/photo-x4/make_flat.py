"""Writes flat pictures for training, so that flat parts of photographs stay flat and keep their level.

    python3 make_flat.py FOLDER

24 PNG files of 512x512: levels of gray, colours, and rectangles of both. Needs nothing but Python.
"""

import pathlib
import random
import struct
import sys
import zlib

SIDE = 512


def png(rows):
    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    data = b"".join(b"\0" + row for row in rows)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data, 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    color = lambda: tuple(draw.randrange(256) for _ in range(3))
    flats = [(level,) * 3 for level in (0, 32, 64, 96, 128, 160, 192, 224, 255)]
    flats += [color() for _ in range(11)]
    for number, pixel in enumerate(flats):
        (folder / f"flat-{number:02}.png").write_bytes(png([bytes(pixel) * SIDE] * SIDE))
    for number in range(4):
        ground = bytes(color()) * SIDE
        rows = [bytearray(ground) for _ in range(SIDE)]
        for _ in range(12):
            left, top = draw.randrange(SIDE), draw.randrange(SIDE)
            width, height = draw.randrange(96, 320), draw.randrange(96, 320)
            pixel = bytes(color() if number % 2 else (draw.randrange(256),) * 3)
            for row in rows[top : top + height]:
                right = min(left + width, SIDE)
                row[3 * left : 3 * right] = pixel * (right - left)
        (folder / f"rectangles-{number}.png").write_bytes(png([bytes(row) for row in rows]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
