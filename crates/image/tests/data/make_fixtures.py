"""Writes the fixtures beside this file. Run with Pillow 13 and ImageMagick 6 (`convert`), then look at the difference before committing it.

Every picture shows the same pattern, 24 x 16, so that tests need no second copy of it:
red 10 x, green 15 y, blue 255 - 5 (x + y); gray 10 x; alpha 255 - 8 x, or 0 where x < 4.
Sixteen-bit samples are 256 times that plus a low byte of (7 x + 3 y + channel) % 128.
"""

import io
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 24, 16
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([10 * X, 15 * Y, 255 - 5 * (X + Y)], axis=-1).astype(np.uint8)
GRAY = (10 * X).astype(np.uint8)
ALPHA = np.where(X < 4, 0, 255 - 8 * X).astype(np.uint8)
RGBA = np.dstack([RGB, ALPHA])
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SRGB_PROFILE = SRGB_PROFILE[:24] + bytes(12) + SRGB_PROFILE[36:]  # without the time of day
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'tiff:Orientation="6" tiff:ImageWidth="24" dc:source="Füße 写真"/></rdf:RDF></x:xmpmeta>'
).encode()


def widened(samples):
    """Sixteen bits whose low bytes differ, so that a detour through eight bits shows."""
    channels = np.arange(samples.shape[2])
    low = (7 * X[..., None] + 3 * Y[..., None] + channels) % 128
    return samples.astype(np.uint16) * 256 + low.astype(np.uint16)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(color_type, bits, rows, before=b"", after=b""):
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, color_type, 0, 0, 0)
    raw = b"".join(b"\0" + row for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(raw, 9))
        + after
        + chunk(b"IEND", b"")
    )


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Camera Seven"
    block[0x0100] = WIDTH
    block[0x0101] = HEIGHT
    block.get_ifd(0x8769)[0xA002] = WIDTH
    block.get_ifd(0x8769)[0xA003] = HEIGHT
    block.get_ifd(0x8769)[0x829D] = (28, 10)
    block.get_ifd(0x8825)[0x0001] = "N"
    return block


def write_png():
    wide = widened(RGBA)
    icc = chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB_PROFILE, 9))
    density = chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP, 9))
    rows = [row.astype(">u2").tobytes() for row in wide]
    (HERE / "rgba16_icc.png").write_bytes(png(6, 16, rows, icc + density))
    gray_alpha = widened(np.dstack([GRAY, ALPHA]))
    rows = [row.astype(">u2").tobytes() for row in gray_alpha]
    (HERE / "gray_alpha16.png").write_bytes(png(4, 16, rows))
    rows = [row.tobytes() for row in RGB]
    late = chunk(b"eXIf", exif(6).tobytes()[6:]) + xmp
    (HERE / "late_exif_xmp.png").write_bytes(png(2, 8, rows, b"", late))
    key = chunk(b"tRNS", struct.pack(">HHH", *RGB[3, 5]))
    (HERE / "rgb_transparent_color.png").write_bytes(png(2, 8, rows, key))
    levels = np.minimum(X, 15).astype(np.uint8)
    packed = [bytes(row[::2] << 4 | row[1::2]) for row in levels]
    (HERE / "gray4.png").write_bytes(png(0, 4, packed))
    palette = Image.fromarray(RGB).quantize(16, dither=Image.Dither.NONE)
    palette.save(HERE / "palette_trns.png", transparency=bytes([0, 128] + [255] * 14), optimize=True)


def write_jpeg():
    Image.fromarray(GRAY).save(HERE / "gray.jpg", quality=98)
    Image.fromarray(RGB).save(HERE / "progressive.jpg", quality=98, subsampling=0, progressive=True, dpi=(300, 300))
    Image.fromarray(RGB).save(HERE / "subsampled.jpg", quality=98, subsampling=2)
    Image.fromarray(RGB).save(HERE / "rgb_components.jpg", quality=98, keep_rgb=True)
    Image.fromarray(RGB).save(HERE / "restarts.jpg", quality=98, subsampling=1, restart_marker_blocks=1)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation in range(1, 9):
        upright = Image.fromarray(RGB)
        stored = upright.transpose(undo[orientation]) if orientation in undo else upright
        path = HERE / f"orientation_{orientation}.jpg"
        stored.save(path, quality=98, subsampling=0, exif=exif(orientation), xmp=XMP)
        seen = ImageOps.exif_transpose(Image.open(path))
        assert np.abs(np.asarray(seen, np.int16) - RGB).max() <= 6, orientation


def cmyk_profile():
    """A CMYK profile of one look-up table with three grid points, whose inks are far from the ideal ones."""

    def lab(c, m, y, k):
        inks = np.array([[0.1, 0.55, 0.75], [0.8, 0.1, 0.4], [0.95, 0.85, 0.15], [0.12, 0.11, 0.1]])
        linear = np.ones(3)
        for amount, color in zip((c, m, y, k), inks):
            linear = linear * (1 - amount + amount * color**2.2)
        to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
        ratio = to_xyz @ linear / np.array([0.9642, 1.0, 0.8249])
        f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
        return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])

    grid = 3
    table = b""
    for index in np.ndindex(grid, grid, grid, grid):
        lightness, a, b = lab(*(np.array(index) / (grid - 1)))
        encoded = (lightness * 652.8, (a + 128) * 256, (b + 128) * 256)
        table += struct.pack(">3H", *(int(np.clip(round(v), 0, 65535)) for v in encoded))
    ramp = struct.pack(">2H", 0, 65535)
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft2\0\0\0\0" + bytes([4, 3, grid, 0]) + identity + struct.pack(">2H", 2, 2) + ramp * 4 + table + ramp * 3
    text = b"text\0\0\0\0" + b"Public domain\0"
    name = b"Test inks\0"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * (4 + 4 + 2 + 1 + 67)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags, body = b"", b""
    for kind, data in ((b"desc", desc), (b"cprt", text), (b"wtpt", white), (b"A2B0", lut)):
        tags += kind + struct.pack(">II", 128 + 4 + 4 * 12 + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = 128 + 4 + len(tags) + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"\0\0\0\0", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"\0" * 12, b"acsp")
    header += b"\0" * (68 - len(header)) + struct.pack(">3i", 63190, 65536, 54061)
    header += b"\0" * (128 - len(header))
    return header + struct.pack(">I", 4) + tags + body


def write_cmyk():
    """Patches of 8 x 8: three columns, two rows. Their colours by LittleCMS go into cmyk_icc.txt."""
    patches = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (64, 128, 32, 40), (0, 0, 0, 255)]
    inks = np.zeros((16, 24, 4), np.uint8)
    for index, patch in enumerate(patches):
        top, left = index // 3 * 8, index % 3 * 8
        inks[top : top + 8, left : left + 8] = patch
    picture = Image.fromarray(inks, "CMYK")
    profile = cmyk_profile()
    picture.save(HERE / "cmyk.jpg", quality=100, subsampling=0)
    picture.save(HERE / "cmyk_icc.jpg", quality=100, subsampling=0, icc_profile=profile)
    picture.save(HERE / "cmyk_icc.tiff", icc_profile=profile, compression="tiff_lzw")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    seen = np.asarray(ImageCms.profileToProfile(picture, source, target, outputMode="RGB"))
    lines = ["# cyan magenta yellow black (0..255), red green blue by LittleCMS, perceptual, to sRGB"]
    for index, patch in enumerate(patches):
        color = seen[index // 3 * 8 + 4, index % 3 * 8 + 4]
        lines.append(" ".join(str(int(v)) for v in (*patch, *color)))
    (HERE / "cmyk_icc.txt").write_text("\n".join(lines) + "\n")
    # YCCK: the inverted inks' complement as luma and chroma, stored as if they were inks, with Adobe's transform 2.
    inverted = 255 - inks.astype(np.float64)
    red, green, blue = (255 - inverted[..., i] for i in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    ycck = np.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402, inverted[..., 3]], axis=-1)
    stored = 255 - np.clip(np.round(ycck), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(stored, "CMYK").save(buffer, "JPEG", quality=100, subsampling=0)
    data = bytearray(buffer.getvalue())
    data[data.index(b"Adobe") + 11] = 2
    (HERE / "ycck.jpg").write_bytes(data)


def write_tiff():
    Image.fromarray(GRAY).save(HERE / "gray8.tiff", compression="packbits")
    wide = widened(GRAY[..., None])[..., 0]
    Image.fromarray(wide).save(HERE / "gray16.tiff", compression="tiff_adobe_deflate")
    Image.fromarray((GRAY / 255.0).astype(np.float32)).save(HERE / "gray_f32.tiff", compression="tiff_lzw")
    Image.fromarray(GRAY > 100).save(HERE / "bilevel.tiff", compression="group4")
    Image.fromarray(RGBA).save(HERE / "rgba8.tiff", compression="tiff_lzw")
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    first.save(HERE / "pages.tiff", save_all=True, append_images=[second], exif=exif(6), compression="tiff_lzw")


def write_animations():
    first, second = Image.fromarray(RGBA), Image.fromarray(255 - RGBA)
    for name in ("animated.png", "animated.webp"):
        first.save(HERE / name, save_all=True, append_images=[second], lossless=True, exact=True, quality=100)
    colors = Image.fromarray(RGB).quantize(64, dither=Image.Dither.NONE)
    others = Image.fromarray(255 - RGB).quantize(64, dither=Image.Dither.NONE)
    colors.save(HERE / "animated.gif", save_all=True, append_images=[others], duration=100)


def write_others():
    Image.fromarray(RGBA).save(
        HERE / "lossless.webp", lossless=True, exact=True, icc_profile=SRGB_PROFILE, exif=exif(6), xmp=XMP
    )
    Image.fromarray(RGB).save(HERE / "lossy.webp", quality=95)
    Image.fromarray(RGB).save(HERE / "rgb.bmp")
    Image.fromarray(RGBA).save(HERE / "rgba.tga", compression="tga_rle")
    Image.fromarray(RGBA).save(HERE / "rgba.ico", sizes=[(24, 16)])
    Image.fromarray(RGB).save(HERE / "rgb.ppm")
    (HERE / "gray16.pgm").write_bytes(b"P5 24 16 65535\n" + widened(GRAY[..., None]).astype(">u2").tobytes())


def write_by_imagemagick():
    """Layouts that Pillow does not write."""
    with tempfile.TemporaryDirectory() as folder:
        opaque, translucent = f"{folder}/rgb.png", f"{folder}/rgba.png"
        Image.fromarray(RGB).save(opaque)
        Image.fromarray(RGBA).save(translucent)
        for source, name, *options in (
            (opaque, "tiled.tiff", "-define", "tiff:tile-geometry=16x16", "-compress", "zip"),
            (opaque, "planar.tiff", "-interlace", "plane", "-compress", "lzw"),
            (opaque, "ycbcr_jpeg.tiff", "-compress", "jpeg", "-quality", "98"),
            (opaque, "half_float.tiff", "-depth", "16", "-define", "quantum:format=floating-point"),
            (opaque, "big_endian16.tiff", "-depth", "16", "-endian", "MSB"),
            (translucent, "premultiplied.tiff", "-define", "tiff:alpha=associated"),
        ):
            target = HERE / name
            subprocess.run(["convert", source, "-strip", *options, str(target)], check=True)


if __name__ == "__main__":
    write_png()
    write_jpeg()
    write_cmyk()
    write_tiff()
    write_animations()
    write_others()
    write_by_imagemagick()
    print("\n".join(f"{p.stat().st_size:6} {p.name}" for p in sorted(HERE.iterdir())))
