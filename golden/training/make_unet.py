"""Writes unet.npz: the U-Net discriminator's passes and gradients, and the adversarial losses, as PyTorch computes them.

  python3 make_unet.py     # needs torch, numpy

The network is small (8 channels) and has made weights; two passes in training mode, as each moves the directions of the spectral
norm. Computed in f64.
"""
import hashlib
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

HERE = pathlib.Path(__file__).parent
FEATURES, SAMPLES, HEIGHT, WIDTH = 8, 2, 16, 24


class Unet(nn.Module):
    def __init__(self, features=FEATURES):
        super().__init__()
        widths = [(3, 1), (1, 2), (2, 4), (4, 8), (8, 4), (4, 2), (2, 1), (1, 1), (1, 1)]
        for number, (inputs, outputs) in enumerate(widths):
            inputs, outputs = (3 if number == 0 else inputs * features), outputs * features
            strided = number in (1, 2, 3)
            conv = nn.Conv2d(inputs, outputs, 4 if strided else 3, 2 if strided else 1, 1, bias=number == 0)
            setattr(self, f"conv{number}", conv if number == 0 else spectral_norm(conv))
        self.conv9 = nn.Conv2d(features, 1, 3, 1, 1)

    def forward(self, x):
        act = lambda number, x: F.leaky_relu(getattr(self, f"conv{number}")(x), 0.2)
        up = lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x0 = act(0, x)
        x1 = act(1, x0)
        x2 = act(2, x1)
        x3 = act(3, x2)
        x = act(4, up(x3)) + x2
        x = act(5, up(x)) + x1
        x = act(6, up(x)) + x0
        return self.conv9(act(8, act(7, x)))


def losses(kind, real, fake):
    """The generator's loss, and the discriminator's of true and of made pictures, as BasicSR has them."""
    one, zero = torch.ones_like(real), torch.zeros_like(real)
    bce = F.binary_cross_entropy_with_logits
    if kind == "relativistic":
        generator = (bce(real.detach() - fake.mean(), zero) + bce(fake - real.detach().mean(), one)) / 2
        return generator, bce(real - fake.detach().mean(), one) / 2, bce(fake - real.detach().mean(), zero) / 2
    if kind == "vanilla":
        return bce(fake, one), bce(real, one), bce(fake, zero)
    if kind == "lsgan":
        return F.mse_loss(fake, one), F.mse_loss(real, one), F.mse_loss(fake, zero)
    return -fake.mean(), F.relu(1 - real).mean(), F.relu(1 + fake).mean()


def main():
    torch.manual_seed(11)
    torch.set_default_dtype(torch.float64)
    network = Unet().train()
    found = {}
    single = lambda tensor: tensor.detach().float().double()
    for name, tensor in network.state_dict().items():
        tensor.copy_(single(tensor))
        found[f"before.{name}"] = tensor.clone()
    images = single(torch.rand(SAMPLES, 3, HEIGHT, WIDTH)).requires_grad_()
    factors = single(torch.randn(SAMPLES, 1, HEIGHT, WIDTH))
    found["images"], found["factors"] = images, factors
    for number in range(2):
        logits = network(images)
        found[f"logits{number}"] = logits
    (logits * factors).sum().backward()
    found["gradient.images"] = images.grad
    for name, parameter in network.named_parameters():
        found[f"gradient.{name}"] = parameter.grad
    for name, tensor in network.named_buffers():
        found[f"after.{name}"] = tensor
    real, fake = (single(2 * torch.randn(3, 5)).requires_grad_() for _ in range(2))
    found["real"], found["fake"] = real, fake
    for kind in ("relativistic", "vanilla", "lsgan", "hinge"):
        generator, of_real, of_fake = losses(kind, real, fake)
        found[f"{kind}.losses"] = torch.stack([generator, of_real, of_fake])
        found[f"{kind}.generator"] = torch.autograd.grad(generator, fake, retain_graph=True)[0]
        found[f"{kind}.real"], found[f"{kind}.fake"] = torch.autograd.grad(of_real + of_fake, (real, fake))
    path = HERE / "unet.npz"
    np.savez_compressed(path, **{name: tensor.detach().numpy() for name, tensor in found.items()})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = HERE / "MANIFEST"
    lines = [line for line in manifest.read_text().splitlines() if not line.endswith("unet.npz")]
    manifest.write_text("\n".join(lines + [f"{digest}  unet.npz"]) + "\n")


if __name__ == "__main__":
    main()
