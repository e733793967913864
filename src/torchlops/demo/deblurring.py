"""Deblurring by Tikhonov, total variation, and a network whose layers apply the blur and its adjoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from torchlops import Gradient, Laplacian, LinearOperator
from torchlops.demo.photographs import TEST, TRAINING, blur, central_crop, central_crops, defocus_psf, photograph

NOISE = 0.02
"""Standard deviation of the noise, in grey values from 0 to 1."""

PATCH = 78
"""Number of rows and columns of the training scenes."""

BATCH = 8
"""Number of patches per training step."""

START_WEIGHTS = (3e-3, 2e-2, 1.6e-1)
"""Weights of the Tikhonov solutions that are inputs of the network; it starts from the middle one."""

TIKHONOV_WEIGHTS = (4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2)
TOTAL_VARIATION_WEIGHTS = (1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3)

Step = Callable[[str], None]


def conjugate_gradients(normal: Callable[[Tensor], Tensor], rhs: Tensor, x: Tensor, niter: int) -> Tensor:
    """Solve ``normal(x) = rhs`` for a batch of images, with one step length per image, by ``niter`` iterations."""

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum((-2, -1), keepdim=True)

    r = rhs - normal(x)
    p, rr = r, dot(r, r)
    for _ in range(niter):
        q = normal(p)
        step = rr / dot(p, q).clamp_min(1e-30)
        x, r = x + step * p, r - step * q
        rr, before = dot(r, r), rr
        p = r + rr / before.clamp_min(1e-30) * p
    return x


def tikhonov(A: LinearOperator, y: Tensor, weight: float | Tensor, niter: int = 100) -> Tensor:
    """Minimise ``||A x - y||^2 + weight ||L x||^2``, where ``L`` is the Laplacian, by conjugate gradients."""
    L = Laplacian(A.dims, edge=True)
    rhs: Tensor = A.adjoint(y)
    return conjugate_gradients(lambda x: A.adjoint(A(x)) + weight * L.adjoint(L(x)), rhs, rhs, niter)


def total_variation(
    A: LinearOperator, y: Tensor, weight: float, niter: int = 60, inner: int = 3, penalty: float = 0.1
) -> Tensor:
    """Minimise ``1/2 ||A x - y||^2 + weight ||G x||_{2,1}``, where ``G`` is the gradient, by split Bregman iterations.

    Source: Goldstein and Osher, SIAM J. Imaging Sciences 2, 323 (2009).
    """
    G = Gradient(A.dims, kind="forward")
    rhs: Tensor = A.adjoint(y)
    x, gradient = rhs, G(rhs)
    dual = torch.zeros_like(gradient)
    for _ in range(niter):
        moved = gradient + dual
        length = moved.square().sum(-3, keepdim=True).sqrt()
        shrunk = moved * (1 - weight / penalty / length.clamp_min(1e-12)).clamp_min(0)
        target = rhs + penalty * G.adjoint(shrunk - dual)
        x = conjugate_gradients(lambda x: A.adjoint(A(x)) + penalty * G.adjoint(G(x)), target, x, inner)
        gradient = G(x)
        dual = dual + gradient - shrunk
    return x


class UnrolledNetwork(nn.Module):
    """Layers that consist of a gradient step on ``||A x - y||^2``, with a learned step length, and a small CNN.

    The inputs of the CNN are the image, the gradient ``A^H (A x - y)``, Tikhonov solutions with several weights, and
    the memory channels of the previous layer, on a grid with half the rows and columns. Weak regularisation keeps
    edges sharp, strong regularisation keeps flat regions smooth; the CNN learns where to use which. The operator is an
    argument, so the same weights apply to images of any even size.
    """

    def __init__(self, layers: int = 3, channels: int = 32, memory: int = 12) -> None:
        super().__init__()
        self.memory = memory
        self.steps = nn.Parameter(torch.ones(layers))
        inputs = 8 + 4 * len(START_WEIGHTS) + memory
        self.cnns = nn.ModuleList(_small_cnn(inputs, channels, 4 + memory) for _ in range(layers))

    def forward(self, A: LinearOperator, y: Tensor, starts: Tensor | None = None) -> Tensor:
        """Return the restored scenes ``(batch, *A.dims)`` for the data ``y``.

        Args:
            A: The blur.
            y: Data, ``(batch, *A.dimsd)``.
            starts: The result of :func:`tikhonov_starts` for the data; computed if omitted.
        """
        starts = tikhonov_starts(A, y) if starts is None else starts
        x = starts[:, len(START_WEIGHTS) // 2]
        others = pixel_unshuffle(5 * (starts - x[:, None]), 2)
        remembered = x.new_zeros((x.shape[0], self.memory, x.shape[1] // 2, x.shape[2] // 2))
        for step, cnn in zip(self.steps, self.cnns, strict=True):
            gradient = A.adjoint(A(x) - y)
            x = x - step * gradient
            seen = pixel_unshuffle(torch.stack((x, 10 * gradient), dim=1), 2)
            out = cnn(torch.cat((seen, others, remembered), dim=1))
            x = x + pixel_shuffle(out[:, :4], 2).squeeze(1)
            remembered = out[:, 4:]
        return x


def tikhonov_starts(A: LinearOperator, y: Tensor) -> Tensor:
    """Return the Tikhonov solutions for all ``START_WEIGHTS``, ``(batch, weights, *A.dims)``."""
    weights = torch.tensor(START_WEIGHTS, dtype=y.dtype)[:, None, None]
    return tikhonov(A, y.unsqueeze(-3), weights, niter=60)


def _small_cnn(inputs: int, channels: int, outputs: int) -> nn.Module:
    first, last = nn.Conv2d(inputs, channels, 3, padding=1), nn.Conv2d(channels, outputs, 3, padding=1)
    between = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)]
    with torch.no_grad():  # an untrained layer leaves the image unchanged
        last.weight[:4] = 0
        if last.bias is not None:
            last.bias[:4] = 0
    return nn.Sequential(first, nn.ReLU(), between[0], nn.ReLU(), between[1], nn.ReLU(), last)


def oriented(image: Tensor, orientation: int) -> Tensor:
    """Return images in one of eight orientations: rotated by quarter turns and, from 4 on, reflected first."""
    image = image.flip(-1) if orientation >= 4 else image
    return image.rot90(orientation % 4, (-2, -1))


def upright(image: Tensor, orientation: int) -> Tensor:
    """Undo :func:`oriented`."""
    image = image.rot90(-(orientation % 4), (-2, -1))
    return image.flip(-1) if orientation >= 4 else image


def restore(network: UnrolledNetwork, psf: Tensor, y: Tensor) -> Tensor:
    """Return the mean of the restorations of the data in all eight orientations.

    The point-spread function, and so the problem, is symmetric under them. The network is so only approximately.
    """
    margin = psf.shape[0] - 1
    starts = tikhonov_starts(blur((y.shape[-2] + margin, y.shape[-1] + margin), psf), y)
    restored = torch.zeros_like(starts[:, 0])
    for orientation in range(8):
        data = oriented(y, orientation)
        A = blur((data.shape[-2] + margin, data.shape[-1] + margin), psf)
        restored += upright(network(A, data, oriented(starts, orientation)), orientation) / 8
    return restored


class Sample(NamedTuple):
    """A training scene, its data, and its Tikhonov solutions."""

    scene: Tensor
    data: Tensor
    starts: Tensor


def prepare(psf: Tensor, tick: Step) -> list[Sample]:
    """Blur the training photographs, each with two realisations of the noise, and compute the Tikhonov solutions."""
    samples = []
    for name in TRAINING:
        scene = central_crop(photograph(name), (512, 512))
        A = blur((scene.shape[0], scene.shape[1]), psf)
        y = observed(A, scene.expand(2, -1, -1))
        samples += [Sample(scene, *both) for both in zip(y, tikhonov_starts(A, y), strict=True)]
        tick("preparing the training photographs")
    return samples


def train(network: UnrolledNetwork, psf: Tensor, samples: Sequence[Sample], steps: int, tick: Step) -> list[float]:
    """Train on patches of the samples, and return the losses: smoothed absolute errors in grey values."""
    A = blur((PATCH, PATCH), psf)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    total = max(steps, 4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=total, pct_start=max(0.1, 2 / total))
    losses = []
    for _ in range(steps):
        patches = [_random_patch(samples[_random(len(samples))]) for _ in range(BATCH)]
        x, y, starts = (torch.stack(parts) for parts in zip(*patches, strict=True))
        error = inside(network(A, y, starts) - x, psf)
        loss = (error.square() + 1e-4).sqrt().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        tick("training the network")
    return losses


def _random_patch(sample: Sample) -> Sample:
    """Return a patch of the scene, its data and its Tikhonov solutions, in a random orientation."""
    top, left = (_random(n - PATCH + 1) for n in sample.scene.shape)
    seen = PATCH - (sample.scene.shape[0] - sample.data.shape[0])
    orientation = _random(8)
    sizes = (PATCH, seen, PATCH)
    cuts = (image[..., top : top + n, left : left + n] for image, n in zip(sample, sizes, strict=True))
    return Sample(*(oriented(cut, orientation) for cut in cuts))


def _random(below: int) -> int:
    return int(torch.randint(below, ()))


def observed(A: LinearOperator, x: Tensor) -> Tensor:
    """Return the blurred and noisy data of the scenes ``x``."""
    y: Tensor = A(x)
    return torch.add(y, torch.randn_like(y), alpha=NOISE)


def inside(x: Tensor, psf: Tensor) -> Tensor:
    """Return the part of a scene that the data cover, on which all methods are compared."""
    half = psf.shape[0] // 2
    return x[..., half : x.shape[-2] - half, half : x.shape[-1] - half]


def quality(restored: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return the PSNR in dB and the SSIM of one image, computed by scikit-image."""
    from skimage import metrics

    a, b = truth.double().numpy(), restored.clamp(0, 1).double().numpy()
    psnr: float = metrics.peak_signal_noise_ratio(a, b, data_range=1.0)  # type: ignore[no-untyped-call]
    ssim: float = metrics.structural_similarity(a, b, data_range=1.0)  # type: ignore[no-untyped-call]
    return float(psnr), float(ssim)


@dataclass
class Comparison:
    """The results of each method on each test photograph."""

    psf: Tensor
    losses: list[float] = field(default_factory=list)
    truth: dict[str, Tensor] = field(default_factory=dict)
    images: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    scores: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    tuned: dict[str, float] = field(default_factory=dict)

    def means(self) -> dict[str, tuple[float, float]]:
        """Return the mean PSNR and SSIM over the test photographs, by method."""
        return {
            method: (
                sum(psnr for psnr, _ in scores.values()) / len(scores),
                sum(ssim for _, ssim in scores.values()) / len(scores),
            )
            for method, scores in self.scores.items()
        }


def ticks(steps: int) -> int:
    """Return the number of ticks of :func:`compare`."""
    return len(TIKHONOV_WEIGHTS) + len(TOTAL_VARIATION_WEIGHTS) + len(TRAINING) + steps + len(TEST)


def compare(steps: int, tick: Step, size: int = 384) -> Comparison:
    """Tune and train on the training photographs, and restore the test photographs with every method."""
    psf = defocus_psf()
    result = Comparison(psf)
    result.tuned = _tune(psf, tick)
    network = UnrolledNetwork()
    result.losses = train(network, psf, prepare(psf, tick), steps, tick)
    methods: dict[str, Callable[[LinearOperator, Tensor], Tensor]] = {
        "Tikhonov": lambda A, y: tikhonov(A, y, result.tuned["Tikhonov"]),
        "total variation": lambda A, y: total_variation(A, y, result.tuned["total variation"]),
        "unrolled network": lambda _, y: restore(network, psf, y),
    }
    for name in TEST:
        scene = central_crop(photograph(name), (size, size))
        A = blur((scene.shape[0], scene.shape[1]), psf)
        y = observed(A, scene[None])
        truth = inside(scene, psf)
        result.truth[name] = truth
        with torch.no_grad():
            restored = {"blurred": y[0]} | {
                method: inside(function(A, y)[0], psf) for method, function in methods.items()
            }
        for method, image in restored.items():
            result.images.setdefault(method, {})[name] = image
            result.scores.setdefault(method, {})[name] = quality(image, truth)
        tick("restoring test photographs")
    return result


def _tune(psf: Tensor, tick: Step) -> dict[str, float]:
    """Return the weights with the best mean PSNR on the training photographs."""
    scenes = central_crops(TRAINING, 172)
    A = blur((172, 172), psf)
    y = observed(A, scenes)
    truth = inside(scenes, psf)

    def score(x: Tensor) -> float:
        return float(-10 * (inside(x, psf).clamp(0, 1) - truth).square().mean((-2, -1)).log10().mean())

    best = {}
    for method, weights in (("Tikhonov", TIKHONOV_WEIGHTS), ("total variation", TOTAL_VARIATION_WEIGHTS)):
        solve = tikhonov if method == "Tikhonov" else total_variation
        scores = []
        for weight in weights:
            scores.append(score(solve(A, y, weight)))
            tick("tuning the baselines")
        best[method] = weights[scores.index(max(scores))]
    return best
