r"""
A network that ends in a solve, trained in two ways
===================================================

Should a network that ends in an iterative solve be trained through the iterations, or through the solution? A network
that restores blurred photographs of scikit-image is trained in both ways.

A small CNN maps a blurred photograph :math:`y` to weights :math:`w_f` that say, for each pixel, how strongly the
response of each of four learned filters :math:`f` is penalised:

.. math:: x = \mathrm{argmin} \; \|A x - y\|^2 + \sum_f \|w_f(y) \odot (f * x)\|^2,

solved by CGLS. The loss of :math:`x` trains the CNN and the filters. Its gradient can be computed

- through the iterations (``grad="unroll"``): all iterations are stored or, with ``grad=Unroll(checkpoint_every=5)``,
  some of them, and the rest are recomputed;
- through the solution (``grad="implicit"``, the default): one additional solve, and no iterations are stored.

A network trained through few iterations stays worse, however many are run later. Trained through enough of them, it is
as good as one trained through its solution.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad
from tqdm import tqdm

from torchlops import Pad, VStack
from torchlops.demo.photographs import TEST, defocus_psf, photograph
from torchlops.optimization import Implicit, Unroll, cgls
from torchlops.optimization.leastsquares import RegularizedOperator
from torchlops.signalprocessing import Convolve2D

SIZE, HALF, NOISE, STEPS = 36, 4, 0.015, 25
TRAINING = ("astronaut", "chelsea", "motorcycle_left", "brick", "text", "gravel")
COUNTS = (4, 8, 16, 32, 64)
"""Numbers of iterations."""

TRAINED = (6, 24)
"""Numbers of iterations through which networks are trained."""

WAYS: dict[str, Any] = {
    "unrolled": lambda _: Unroll(),
    "unrolled, with checkpoints": lambda _: Unroll(checkpoint_every=5),
    "implicit": lambda niter: Implicit(rtol=0.0, niter=niter),
}
"""How the gradient is computed, given the number of iterations of its own solve."""

COLORS = {"unrolled": "C3", "unrolled, with checkpoints": "C1", "implicit": "C0"}

# %%
# A camera out of focus: a convolution, and a crop to the pixels that receive no light from outside, the adjoint of
# padding.

frame = Pad((SIZE - 2 * HALF, SIZE - 2 * HALF), ((HALF, HALF), (HALF, HALF)))
A = frame.H @ Convolve2D((SIZE, SIZE), defocus_psf(half=HALF), offset=(HALF, HALF))


# %%
# The network: a CNN for the weights, and a solve with filters that are learned, too.


class Restoration(nn.Module):
    """Least squares with learned filters and weights."""

    def __init__(self, filters: int = 4, channels: int = 16) -> None:
        super().__init__()
        differences = torch.zeros(filters, 3, 3)
        differences[:, 1, 1] = -1
        for f, (i, j) in zip(differences, ((1, 2), (2, 1), (2, 2), (2, 0)), strict=True):
            f[i, j] = 1
        self.filters = nn.Parameter(differences)
        last = nn.Conv2d(channels, filters, 5, padding=2)
        self.cnn = nn.Sequential(nn.Conv2d(1, channels, 5, padding=2), nn.ReLU(), last)
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.fill_(-2.5)

    def forward(self, y: Tensor, **how: Any) -> Tensor:
        """Return the restored photographs, ``(batch, SIZE, SIZE)``; ``how`` is passed to the solver."""
        weights = self.cnn(pad(y[:, None] - 0.5, (HALF,) * 4, mode="replicate")).exp()
        R = VStack([Convolve2D((SIZE, SIZE), f, offset=(1, 1)) for f in self.filters])
        K = RegularizedOperator(A, [R], [weights.flatten(1)])
        data = torch.cat([y.flatten(1), y.new_zeros(len(y), R.shape[0])], dim=1)
        return cgls(K, data, tol=0, **how).x.reshape(len(y), SIZE, SIZE)


# %%
# The loss, its gradient, and a count of the bytes that a graph keeps for the backward pass.


def loss(x: Tensor, truth: Tensor) -> Tensor:
    return psnr(x, truth).mean().neg()


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Return the PSNR in dB of each photograph, in the region that the data cover."""
    return -10 * (x - truth)[:, HALF:-HALF, HALF:-HALF].square().mean((1, 2)).log10()


def gradient(network: Restoration, value: Tensor) -> Tensor:
    """Return the gradient of a loss with respect to all parameters, as one vector."""
    return torch.cat([grad.flatten() for grad in torch.autograd.grad(value, list(network.parameters()))])


def kept(run: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """Return a result, and the number of bytes that its graph keeps for the backward pass."""
    tensors: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        tensors[tensor.untyped_storage().data_ptr()] = tensor  # kept alive, so that addresses are unique
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run()
    return result, sum(tensor.untyped_storage().nbytes() for tensor in tensors.values())


# %%
# Training on random patches.


def train(
    photographs: list[Tensor], steps: int, unseen: tuple[Tensor, Tensor], **how: Any
) -> tuple[Restoration, dict[int, float]]:
    """Train on random patches; return the network, and its mean PSNR on unseen data every few steps."""
    torch.manual_seed(0)
    network = Restoration()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps + 1)
    history = {}
    for step in tqdm(range(steps + 1), desc="training", disable=None):
        if step % 5 == 0:
            with torch.no_grad():
                history[step] = psnr(network(unseen[0], **how), unseen[1]).mean().item()
        truth = torch.stack([patch(image) for image in photographs])
        y = A(truth)
        value = loss(network(y + NOISE * torch.randn_like(y), **how), truth)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return network, history


def patch(image: Tensor) -> Tensor:
    top, left = (int(torch.randint(n - SIZE + 1, ())) for n in image.shape)
    return image[top : top + SIZE, left : left + SIZE]


# %%
# Both gradients against the number of iterations: error, memory and time. The memory grows with the number of unrolled
# iterations; the implicit derivative does not depend on it.

torch.manual_seed(0)
training, unseen = ([avg_pool2d(photograph(name)[None], 2)[0] for name in names] for names in (TRAINING, TEST))
truth = torch.stack([patch(image) for image in 3 * unseen])
y = A(truth)
y = y + NOISE * torch.randn_like(y)

network, two, sharp = Restoration().double(), y[:2].double(), truth[:2].double()
exact = gradient(network, loss(network(two, niter=1000, gtol=1e-12), sharp))
errors: dict[str, list[float]] = {name: [] for name in WAYS}
memory: dict[str, list[float]] = {name: [] for name in WAYS}
times: dict[str, list[float]] = {name: [] for name in WAYS}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for name, way in tqdm(WAYS.items(), desc="gradients", disable=None):
    for k in COUNTS:  # iterations of the solve, and of that of the gradient
        how = {"grad": way(k), "niter": k, "on_fail": "ignore"}
        value, size = kept(lambda how=how: loss(network(two, **how), sharp))
        memory[name].append(size / 2**20)
        errors[name].append(((gradient(network, value) - exact).norm() / exact.norm()).item())
        start = time.perf_counter()
        gradient(network, loss(network(two, **how), sharp))
        times[name].append(1e3 * (time.perf_counter() - start))
    print(f"{name}, {COUNTS[0]} to {COUNTS[-1]} iterations:", end=" ")
    print(f"error of the gradient {errors[name][0]:.1e} to {errors[name][-1]:.1e},", end=" ")
    print(f"kept {memory[name][0]:.2f} to {memory[name][-1]:.2f} MiB,", end=" ")
    print(f"forward and backward {times[name][0]:.0f} to {times[name][-1]:.0f} ms")
    style = {"color": COLORS[name], "linestyle": "--" if "checkpoints" in name else "-", "marker": "o"}
    for axis, values in zip(axes, (errors, memory, times), strict=False):
        axis.loglog(COUNTS, values[name], label=name, **style)
titles = {
    "error of the gradient": "relative to that of the solution",
    "kept for the backward pass": "memory / MiB",
    "forward and backward": "time / ms",
}
for axis, (title, label) in zip(axes, titles.items(), strict=False):
    axis.set(title=title, xlabel="iterations", ylabel=label, xticks=COUNTS, xticklabels=COUNTS)
    axis.xaxis.set_minor_locator(plt.NullLocator())
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
assert errors["implicit"][-1] < errors["unrolled"][-1] < 0.1
for unrolled, repeated in zip(errors["unrolled"], errors["unrolled, with checkpoints"], strict=True):
    assert abs(repeated - unrolled) < 1e-6 * unrolled
assert len(set(memory["implicit"])) == 1  # independent of the number of iterations
rises = [(b - a) / (n - m) for (m, a), (n, b) in pairwise(zip(COUNTS, memory["unrolled"], strict=True))]
assert max(rises) < 1.01 * min(rises)  # proportional to it
assert memory["implicit"][-1] < memory["unrolled, with checkpoints"][-1] < 0.1 * memory["unrolled"][-1]


# %%
# The same network trained in three ways, and then run for any number of iterations.

counts = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48, 96)
solution = {"niter": 500, "gtol": 1e-3}
ways: dict[str, dict[str, Any]] = {f"unrolled, {k} iterations": {"grad": "unroll", "niter": k} for k in TRAINED}
ways["implicit"] = {**solution, "grad": Implicit(rtol=1e-2)}
images, scores, ends = {}, {}, {}
figure, panels = plt.subplot_mosaic("aabbcc;.ddee.", figsize=(11, 7), layout="constrained")
axes = list(panels.values())
for (name, how), color in zip(ways.items(), ("C3", "C1", "C0"), strict=True):
    network, history = train(training, STEPS, (y, truth), **how)
    with torch.no_grad():
        curve = [psnr(network(y, niter=k, gtol=1e-6), truth).mean().item() for k in counts]
        images[name] = network(y, **how)
    scores[name], ends[name] = psnr(images[name], truth), curve[-1]
    axes[0].plot(list(history), list(history.values()), "o-", color=color, label=name)
    axes[1].semilogx(counts, curve, "o-", color=color, label=name)
    print(f"trained {name}: unseen photographs {scores[name].mean():.2f} dB,", end=" ")
    print(f"by {counts[-1]} iterations {ends[name]:.2f} dB")
axes[0].set(title="unseen photographs, while training", xlabel="step of the training", ylabel="mean PSNR / dB")
axes[1].set(title="unseen photographs, trained", xlabel="iterations", ylabel="mean PSNR / dB", ylim=(20, None))
for axis in axes[:2]:
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
few = next(iter(ways))
i = int((scores["implicit"] - scores[few]).argmax())
shown = {f"{name}: {scores[name][i]:.1f} dB": images[name][i, HALF:-HALF, HALF:-HALF] for name in (few, "implicit")}
for axis, (title, image) in zip(axes[2:], (shown | {"an unseen photograph, blurred": y[i]}).items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
assert scores["implicit"].mean() > scores[few].mean() + 0.5
assert ends["implicit"] > ends[few] + 0.1
assert abs(ends["implicit"] - ends[f"unrolled, {TRAINED[-1]} iterations"]) < 0.5
