"""Deblurring: a network whose layers apply the blur and its adjoint, against Tikhonov and total variation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from torchlops import Gradient, Laplacian, LinearOperator
from torchlops.demo.photographs import TEST, TRAINING, blur, central_crop, central_crops, defocus_psf, photograph

NOISE = 0.01
"""Standard deviation of the noise, in grey values from 0 to 1."""

PATCH = 78
"""Rows and columns of the scenes that the network trains on."""

TIKHONOV_WEIGHTS = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
TOTAL_VARIATION_WEIGHTS = (4e-4, 6e-4, 8e-4, 1e-3, 1.4e-3, 2e-3)

Step = Callable[[str], None]


def conjugate_gradients(normal: Callable[[Tensor], Tensor], rhs: Tensor, x: Tensor, niter: int) -> Tensor:
    """Solve ``normal(x) = rhs`` for a batch of images, each with its own steps, by ``niter`` iterations."""

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
    """Minimise ``||A x - y||^2 + weight ||L x||^2``, with the Laplacian ``L``, by conjugate gradients."""
    L = Laplacian(A.dims, edge=True)
    rhs: Tensor = A.adjoint(y)
    return conjugate_gradients(lambda x: A.adjoint(A(x)) + weight * L.adjoint(L(x)), rhs, rhs, niter)


def total_variation(
    A: LinearOperator, y: Tensor, weight: float, niter: int = 60, inner: int = 6, penalty: float = 0.05
) -> Tensor:
    """Minimise ``1/2 ||A x - y||^2 + weight ||G x||_{2,1}``, with the gradient ``G``, by split Bregman iterations.

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
    """Layers of a gradient step on ``||A x - y||^2`` with a learned length, and a small CNN.

    The CNN sees the image, the gradient ``A^H (A x - y)`` and what the layer before remembers, on a grid of half
    the rows and columns. The first image is a Tikhonov solution by a few conjugate gradients over the same
    operators. The operator is an argument, so that the same weights serve images of any even size.
    """

    def __init__(self, layers: int = 4, channels: int = 32, memory: int = 12) -> None:
        super().__init__()
        self.memory = memory
        self.steps = nn.Parameter(torch.ones(layers))
        self.cnns = nn.ModuleList(_small_cnn(8 + memory, channels, 4 + memory) for _ in range(layers))

    def forward(self, A: LinearOperator, y: Tensor) -> Tensor:
        """Return the restored scenes ``(batch, *A.dims)`` of the data ``y``."""
        x = tikhonov(A, y, 3e-3, niter=12)
        remembered = x.new_zeros((x.shape[0], self.memory, x.shape[1] // 2, x.shape[2] // 2))
        for step, cnn in zip(self.steps, self.cnns, strict=True):
            gradient = A.adjoint(A(x) - y)
            x = x - step * gradient
            seen = pixel_unshuffle(torch.stack((x, 10 * gradient), dim=1), 2)
            out = cnn(torch.cat((seen, remembered), dim=1))
            x = x + pixel_shuffle(out[:, :4], 2).squeeze(1)
            remembered = out[:, 4:]
        return x


def _small_cnn(inputs: int, channels: int, outputs: int) -> nn.Module:
    last = nn.Conv2d(channels, outputs, 3, padding=1)
    with torch.no_grad():  # at first a layer leaves the image alone
        last.weight[:4] = 0
        if last.bias is not None:
            last.bias[:4] = 0
    first, middle = nn.Conv2d(inputs, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last)


def train(network: UnrolledNetwork, psf: Tensor, steps: int, tick: Step) -> list[float]:
    """Train on patches of the training photographs, turned and mirrored, with fresh noise; return the losses."""
    photographs = [photograph(name) for name in TRAINING]
    A = blur((PATCH, PATCH), psf)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(steps, 2), pct_start=0.1)
    losses = []
    for _ in range(steps):
        x = torch.stack([_random_patch(photographs) for _ in range(8)])
        y = observed(A, x)
        error = inside(network(A, y) - x, psf)
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        tick("training the network")
    return losses


def _random_patch(photographs: Sequence[Tensor]) -> Tensor:
    image = photographs[int(torch.randint(len(photographs), ()))]
    top, left = (int(torch.randint(n - PATCH + 1, ())) for n in image.shape)
    patch = image[top : top + PATCH, left : left + PATCH].rot90(int(torch.randint(4, ())))
    return patch.flip(0) if torch.rand(()) < 0.5 else patch


def observed(A: LinearOperator, x: Tensor) -> Tensor:
    """Return the blurred and noisy data of the scenes ``x``."""
    y: Tensor = A(x)
    return torch.add(y, torch.randn_like(y), alpha=NOISE)


def inside(x: Tensor, psf: Tensor) -> Tensor:
    """Return the part of a scene that the data show, where all methods are compared."""
    half = psf.shape[0] // 2
    return x[..., half : x.shape[-2] - half, half : x.shape[-1] - half]


def quality(restored: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return PSNR in dB and SSIM of one image, both scikit-image's."""
    from skimage import metrics

    a, b = truth.double().numpy(), restored.clamp(0, 1).double().numpy()
    psnr: float = metrics.peak_signal_noise_ratio(a, b, data_range=1.0)  # type: ignore[no-untyped-call]
    ssim: float = metrics.structural_similarity(a, b, data_range=1.0)  # type: ignore[no-untyped-call]
    return float(psnr), float(ssim)


@dataclass
class Comparison:
    """What each method made of each test photograph."""

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
    """Return how often :func:`compare` ticks."""
    return len(TIKHONOV_WEIGHTS) + len(TOTAL_VARIATION_WEIGHTS) + steps + len(TEST)


def compare(steps: int, tick: Step, size: int = 384) -> Comparison:
    """Tune and train on the training photographs; restore the test photographs by every method."""
    psf = defocus_psf()
    result = Comparison(psf)
    result.tuned = _tune(psf, tick)
    network = UnrolledNetwork()
    result.losses = train(network, psf, steps, tick)
    methods: dict[str, Callable[[LinearOperator, Tensor], Tensor]] = {
        "Tikhonov": lambda A, y: tikhonov(A, y, result.tuned["Tikhonov"]),
        "total variation": lambda A, y: total_variation(A, y, result.tuned["total variation"]),
        "unrolled network": network,
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
    """Return the weights of the best mean PSNR on the training photographs."""
    scenes = central_crops(TRAINING, 174)
    A = blur((174, 174), psf)
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
