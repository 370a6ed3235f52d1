"""Writes training.npz: ten steps of each stage of ESRGAN's training, as PyTorch computes them.

  python3 make_training.py     # needs torch, numpy

Weights and batches come from a formula that the test computes as well. The second stage does what the paper and BasicSR's
ESRGANModel.optimize_parameters do: relativistic average losses, the discriminator run apart on true and on made pictures.

Computed in f64. From usual first weights a discriminator with batch normalisation is chaotic: PyTorch in f32 is off from
PyTorch in f64 by some per cent after three steps. With small scales and large shifts behind the normalisation it is not.
"""
import hashlib
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).parent
FEATURES, BLOCKS, GROWTH, D_FEATURES = 16, 2, 8, 8
SAMPLES, LR_PX, HR_PX, STEPS = 4, 32, 128, 10
NORM_SCALE, NORM_SHIFT = 0.2, 0.5
LEARNING_RATE, BETAS = 2e-5, (0.9, 0.99)
PERCEPTUAL = {"conv2_2": 0.1, "conv3_1": 1.0}


def uniform(number, count):
    index = np.arange(count, dtype=np.uint64) + np.uint64(number * 1_000_003)
    return ((index * np.uint64(2654435761)) % np.uint64(2**32)).astype(np.float64) / 2**32


def made(number, shape):
    """Weights as wide as keeps the size of what goes through; vectors small."""
    width = 2 * np.sqrt(1 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    values = (uniform(number, int(np.prod(shape))) - 0.5) * width
    return torch.from_numpy(values.astype(np.float32).reshape(shape)).double()


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(1, 6):
            out = GROWTH if i < 5 else FEATURES
            setattr(self, f"conv{i}", nn.Conv2d(FEATURES + (i - 1) * GROWTH, out, 3, 1, 1))

    def forward(self, x):
        maps = [x]
        for i in range(1, 5):
            maps.append(F.leaky_relu(getattr(self, f"conv{i}")(torch.cat(maps, 1)), 0.2))
        return self.conv5(torch.cat(maps, 1)) * 0.2 + x


class Rrdb(nn.Module):
    def __init__(self):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = Dense(), Dense(), Dense()

    def forward(self, x):
        return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        conv = lambda i, o: nn.Conv2d(i, o, 3, 1, 1)
        self.conv_first = conv(3, FEATURES)
        self.body = nn.Sequential(*[Rrdb() for _ in range(BLOCKS)])
        self.conv_body = conv(FEATURES, FEATURES)
        self.conv_up1, self.conv_up2 = conv(FEATURES, FEATURES), conv(FEATURES, FEATURES)
        self.conv_hr, self.conv_last = conv(FEATURES, FEATURES), conv(FEATURES, 3)

    def forward(self, x):
        act = lambda x: F.leaky_relu(x, 0.2)
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for up in (self.conv_up1, self.conv_up2):
            x = act(up(F.interpolate(x, scale_factor=2, mode="nearest")))
        return self.conv_last(act(self.conv_hr(x)))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        inputs = 3
        for stage in range(5):
            width = D_FEATURES * 2 ** min(stage, 3)
            setattr(self, f"conv{stage}_0", nn.Conv2d(inputs, width, 3, 1, 1, bias=stage == 0))
            if stage:
                setattr(self, f"bn{stage}_0", nn.BatchNorm2d(width))
            setattr(self, f"conv{stage}_1", nn.Conv2d(width, width, 4, 2, 1, bias=False))
            setattr(self, f"bn{stage}_1", nn.BatchNorm2d(width))
            inputs = width
        self.linear1, self.linear2 = nn.Linear(inputs * 16, 100), nn.Linear(100, 1)

    def forward(self, x):
        act = lambda x: F.leaky_relu(x, 0.2)
        for stage in range(5):
            x = getattr(self, f"conv{stage}_0")(x)
            x = act(getattr(self, f"bn{stage}_0")(x) if stage else x)
            x = act(getattr(self, f"bn{stage}_1")(getattr(self, f"conv{stage}_1")(x)))
        return self.linear2(act(self.linear1(x.flatten(1))))


def vgg_features(x):
    """Features of VGG19's first layers before activation, with made weights."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x = (x - mean) / deviation
    found, inputs = {}, 3
    for place, (name, width) in enumerate([("conv1_1", 64), ("conv1_2", 64), ("conv2_1", 128), ("conv2_2", 128), ("conv3_1", 256)]):
        x = F.conv2d(x, made(5000 + 2 * place, (width, inputs, 3, 3)), made(5001 + 2 * place, (width,)), padding=1)
        if name in PERCEPTUAL:
            found[name] = x
        x = F.relu(x)
        if name in ("conv1_2", "conv2_2"):
            x = F.max_pool2d(x, 2)
        inputs = width
    return found


def fill(network, first):
    with torch.no_grad():
        for place, (name, parameter) in enumerate(network.named_parameters()):
            values = made(first + place, tuple(parameter.shape))
            if name.startswith("bn"):
                values = (values * 0.1).float() + np.float32(NORM_SCALE if name.endswith("weight") else NORM_SHIFT)
            parameter.copy_(values)
    return network


def batch(step):
    """Waves and a little noise; the small pictures are means of squares."""
    n, c, y, x = np.meshgrid(np.arange(SAMPLES), np.arange(3), np.arange(HR_PX), np.arange(HR_PX), indexing="ij")
    phases = uniform(9000 + step, 3) * 6.25
    hr = 0.5 + 0.2 * np.sin(x / (9 + 3 * c + n) + phases[0] + n) * np.cos(y / (7 + 2 * n) + phases[1] + c)
    hr += 0.15 * np.sin(x * y / (700 + 100 * c) + phases[2]) + 0.1 * (uniform(9100 + step, n.size).reshape(n.shape) - 0.5)
    hr = hr.astype(np.float32).astype(np.float64)
    lr = hr.reshape(SAMPLES, 3, LR_PX, 4, LR_PX, 4).mean((3, 5)).astype(np.float32).astype(np.float64)
    return torch.from_numpy(lr), torch.from_numpy(hr)


def norm(network):
    return float(torch.sqrt(sum((p.grad.double() ** 2).sum() for p in network.parameters())))


def bce(x, target):
    return F.binary_cross_entropy_with_logits(x, torch.full_like(x, target))


def adam(network):
    return torch.optim.Adam(network.parameters(), LEARNING_RATE, BETAS)


def psnr_steps():
    generator = fill(Generator(), 0)
    optimizer, rows = adam(generator), []
    for step in range(STEPS):
        lr, hr = batch(step)
        optimizer.zero_grad()
        loss = F.l1_loss(generator(lr), hr)
        loss.backward()
        rows.append([float(loss.detach()), norm(generator)])
        optimizer.step()
    return generator, rows


def gan_steps():
    generator, judge = fill(Generator(), 0), fill(Discriminator(), 2000)
    of_generator, of_judge, rows = adam(generator), adam(judge), []
    for step in range(STEPS):
        lr, hr = batch(step)
        judge.requires_grad_(False)
        of_generator.zero_grad()
        sr = generator(lr)
        pixel = 1e-2 * F.l1_loss(sr, hr)
        truth, found = vgg_features(hr), vgg_features(sr)
        perceptual = sum(weight * F.l1_loss(found[name], truth[name]) for name, weight in PERCEPTUAL.items())
        real, fake = judge(hr).detach(), judge(sr)
        adversarial = 5e-3 * (bce(real - fake.mean(), 0.0) + bce(fake - real.mean(), 1.0)) / 2
        (pixel + perceptual + adversarial).backward()
        norm_generator = norm(generator)
        of_generator.step()
        judge.requires_grad_(True)
        of_judge.zero_grad()
        # The discriminator's own predictions, each part with its own gradient.
        fake = judge(sr.detach()).detach()
        real = judge(hr)
        of_real = bce(real - fake.mean(), 1.0) * 0.5
        of_real.backward()
        fake = judge(sr.detach())
        of_fake = bce(fake - real.detach().mean(), 0.0) * 0.5
        of_fake.backward()
        rows.append([float(v.detach()) for v in (pixel, perceptual, adversarial, of_real, of_fake)] + [norm_generator, norm(judge)])
        of_judge.step()
    return generator, judge, rows


def weights(network):
    return np.concatenate([p.detach().numpy().ravel() for _, p in network.named_parameters()]).astype(np.float32)


def main():
    torch.set_default_dtype(torch.float64)
    generator, rows = psnr_steps()
    arrays = {"psnr_rows": np.array(rows), "psnr_generator": weights(generator)}
    generator, judge, rows = gan_steps()
    arrays |= {"gan_rows": np.array(rows), "gan_generator": weights(generator), "gan_discriminator": weights(judge)}
    path = HERE / "training.npz"
    np.savez_compressed(path, **arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    versions = f"torch {torch.__version__}, numpy {np.__version__}"
    manifest = HERE / "MANIFEST"
    others = [line for line in manifest.read_text().splitlines()[1:] if not line.endswith("training.npz")]
    first = f"made with {versions}; training.npz without a seed, from formulas; unet.npz with its script's"
    manifest.write_text("\n".join([first, f"{digest}  training.npz", *others]) + "\n")
    np.set_printoptions(linewidth=160, precision=6)
    print(arrays["psnr_rows"], arrays["gan_rows"], sep="\n")


main()
