"""Writes degrade.npz: blur kernels, resizing, filtering and JPEG as other programs compute them.

  python3 make_degrade.py     # needs torch, numpy, scipy, pillow

The picture that all of it is done to comes from a formula and is kept as well. Kernels are written from the definitions of
Wang et al., "Real-ESRGAN", 2021, with scipy's Bessel function; resizing is torch's `interpolate`; filtering is torch's
`conv2d` over a reflected border; JPEG files are written and read by pillow, which uses libjpeg-turbo.
"""
import hashlib
import io
import pathlib

import numpy as np
import PIL
import scipy
import scipy.special
import torch
import torch.nn.functional as F
from PIL import Image

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 61, 47


def picture():
    """Smooth colours, a disc and stripes: 8 bits, height, width, channel."""
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(3), indexing="ij")
    smooth = 128 + 90 * np.sin(x / (7 + 2 * c)) * np.cos(y / (9 - 2 * c))
    disc = np.where((x - 40) ** 2 + (y - 20) ** 2 < 100, 60 - 50 * c, 0)
    stripes = np.where((y > 30) & (x % 4 < 2), 40, 0)
    return np.clip(smooth + disc + stripes, 0, 255).astype(np.uint8)


def kernel(size, weight):
    centre = size // 2
    y, x = np.meshgrid(np.arange(size) - centre, np.arange(size) - centre, indexing="ij")
    weights = weight(x.astype(np.float64), y.astype(np.float64))
    return weights / weights.sum()


def squared_distance(x, y, sigma_x, sigma_y, theta):
    """In sigmas: with the inverse of the covariance `R diag(sigma^2) R^T`."""
    rotation = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    inverse = np.linalg.inv(rotation @ np.diag([sigma_x**2, sigma_y**2]) @ rotation.T)
    grid = np.stack([x, y], -1)
    return np.sum(grid @ inverse * grid, -1)


def kernels():
    def sinc(cutoff):
        def weight(x, y):
            radius = np.hypot(x, y)
            with np.errstate(invalid="ignore", divide="ignore"):
                value = cutoff * scipy.special.j1(cutoff * radius) / (2 * np.pi * radius)
            return np.where(radius == 0, cutoff**2 / (4 * np.pi), value)

        return weight

    def anisotropic(profile):
        return lambda x, y: profile(squared_distance(x, y, 2.5, 0.7, 0.4))

    def isotropic(profile):
        return lambda x, y: profile((x**2 + y**2) / 1.3**2)

    gaussian = lambda q: np.exp(-0.5 * q)
    generalized = lambda q: np.exp(-0.5 * q**0.8)
    plateau = lambda q: 1 / (1 + q**1.5)
    return {
        "kernel_iso": kernel(15, isotropic(gaussian)),
        "kernel_generalized_iso": kernel(7, isotropic(generalized)),
        "kernel_plateau_iso": kernel(21, isotropic(plateau)),
        "kernel_aniso": kernel(21, anisotropic(gaussian)),
        "kernel_generalized_aniso": kernel(9, anisotropic(generalized)),
        "kernel_plateau_aniso": kernel(13, anisotropic(plateau)),
        "kernel_sinc": kernel(19, sinc(np.pi / 3)),
    }


def resized(planes):
    """Planes by a factor, as the first pass does, and to a size, as the second does."""
    batch = torch.from_numpy(planes)[None]
    arrays = {}
    for mode in ("area", "bilinear", "bicubic", "nearest-exact"):
        for factor in (0.15, 0.37, 0.9, 1.0, 1.45):
            arrays[f"{mode}_by_{factor}"] = F.interpolate(batch, scale_factor=factor, mode=mode)[0].numpy()
        for width, height in ((15, 11), (70, 53), (1, 1)):
            arrays[f"{mode}_to_{width}x{height}"] = F.interpolate(batch, size=(height, width), mode=mode)[0].numpy()
    return arrays


def filtered(planes, weights):
    radius = weights.shape[0] // 2
    batch = F.pad(torch.from_numpy(planes).double()[:, None], [radius] * 4, mode="reflect")
    return F.conv2d(batch, torch.from_numpy(weights)[None, None])[:, 0].numpy()


def sharpened(planes):
    """Real-ESRGAN's USMSharp: a Gaussian of 51 samples as OpenCV makes it without a sigma, weight 0.5, threshold 10."""
    distance = np.arange(51) - 25.0
    line = np.exp(-(distance**2) / (2 * (0.3 * (50 * 0.5 - 1) + 0.8) ** 2))
    line /= line.sum()
    blur = lambda planes: filtered(planes, np.outer(line, line))
    soft = blur(planes)
    edges = (np.abs(planes - soft) * 255 > 10).astype(np.float64)
    mask = blur(edges)
    return mask * np.clip(planes + 0.5 * (planes - soft), 0, 1) + (1 - mask) * planes


def crop_to_sharpen():
    """Larger than the blur's radius, with an edge and a slope; no difference near the threshold."""
    y, x = np.mgrid[:40, :44]
    hard = np.where(x + y > 40, 0.85, 0.1) + 0.1 * ((x // 5 + y // 7) % 2)
    return np.stack([hard, hard.T[:40, :40].repeat(2, 1)[:, :44] * 0.9, 1 - hard]).astype(np.float32)


def jpegs(image):
    arrays = {}
    for quality in (30, 62, 95):
        for name, source in (("rgb", image), ("gray", image.convert("L"))):
            file = io.BytesIO()
            source.save(file, "JPEG", quality=quality, subsampling="4:2:0")
            back = np.asarray(Image.open(file), np.float32)
            arrays[f"jpeg_{name}_{quality}"] = back.reshape(HEIGHT, WIDTH, -1).transpose(2, 0, 1)
    arrays["gray"] = np.asarray(image.convert("L"), np.float32)[None]
    tables = np.zeros((100, 2, 64), np.float32)
    for quality in range(1, 101):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        found = Image.open(file).quantization
        tables[quality - 1] = [found[0], found[1]]
    arrays["tables"] = tables
    return arrays


def main():
    samples = picture()
    planes = (samples.transpose(2, 0, 1).astype(np.float32) / 255).copy()
    arrays = {"picture": samples.transpose(2, 0, 1).astype(np.float32)}
    arrays |= kernels()
    arrays |= resized(planes[:1])
    arrays["filtered"] = filtered(planes, arrays["kernel_aniso"])
    arrays["sharpen.before"] = crop_to_sharpen()
    arrays["sharpen.after"] = sharpened(arrays["sharpen.before"].astype(np.float64))
    arrays |= jpegs(Image.fromarray(samples))
    path = HERE / "degrade.npz"
    np.savez_compressed(path, **arrays)
    versions = f"torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, pillow {PIL.__version__}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (HERE / "MANIFEST").write_text(f"made with {versions}; no seed: the picture comes from a formula\n{digest}  degrade.npz\n")


main()
