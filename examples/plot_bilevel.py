r"""
The weight of a regulariser and the blur of a camera, through the solution
==========================================================================

How strongly should a restoration be regularised, and by which blur was a photograph shaken? Both are learned on six
photographs of scikit-image, and tested on others.

The solution of

.. math:: x = \mathrm{argmin} \; \|A x - y\|^2 + \epsilon^2 \|L x\|^2,

with a blur :math:`A` and the Laplacian :math:`L`, restores photographs. Its error on training photographs is
differentiated through the solve, at the cost of one additional solve per gradient:

- with respect to the weight :math:`\epsilon`. A single weight for all photographs is found in a few steps, and is as
  good as the best of a grid. A weight that depends on the noise estimated from the data, :math:`\log \epsilon = a + b
  \log \mathrm{noise}`, is found equally fast. It is nearly as good as the best weight of each photograph, which
  requires the truth. All solves on a grid are one batch, with one weight per sample.
- with respect to the blur. The length, direction and width of a motion blur are learned from pairs of sharp and blurred
  photographs, together with the weight. They sharpen an unseen photograph as well as the true blur does.
"""

import math
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import Laplacian, LinearOperator, Pad
from torchlops.demo.photographs import TEST, central_crop, defocus_psf, photograph
from torchlops.optimization import Implicit, regularized_inversion
from torchlops.signalprocessing import Convolve2D

SIZE, HALF = 48, 4
TRAINING = ("astronaut", "chelsea", "motorcycle_left", "brick", "text", "gravel")
L = Laplacian((SIZE, SIZE), edge=True)
GRID = torch.linspace(-3.5, 0, 8)
"""Logarithms of weights."""

START = torch.tensor([math.log(2.5), 0.0, math.log(1.2)])
TRUE = torch.tensor([math.log(5.0), 0.6, math.log(0.7)])
"""Log length, direction and log width of the motion."""


def crops(names: Sequence[str]) -> Tensor:
    """Return the central parts of photographs at a third of their resolution."""
    small = [torch.nn.functional.avg_pool2d(photograph(name)[None], 3)[0] for name in names]
    return torch.stack([central_crop(image, (SIZE, SIZE)) for image in small])


def blur(h: Tensor) -> LinearOperator:
    """Return the convolution with ``h``, cropped to the pixels that receive no light from outside of the photograph."""
    frame = Pad((SIZE - 2 * HALF, SIZE - 2 * HALF), ((HALF, HALF), (HALF, HALF)))
    return frame.H @ Convolve2D((SIZE, SIZE), h, offset=(HALF, HALF))


def restore(A: LinearOperator, y: Tensor, logeps: Tensor) -> Tensor:
    """Return the solutions for data ``(*batch, *A.dimsd)``, with one weight or one per sample."""
    options = {"engine": "pylops", "niter": 500, "tol": 0, "gtol": 1e-4, "grad": Implicit(rtol=1e-2)}
    x: Tensor = regularized_inversion(A, y, [L], epsRs=[logeps.exp()], **options).x
    return x


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Return the PSNR in dB of each sample, in the region that the data cover."""
    inside = (x - truth)[..., HALF:-HALF, HALF:-HALF]
    return -10 * inside.square().mean((-2, -1)).log10()


# %%
# All solves on a grid of weights are one batch.


def on_grid(A: LinearOperator, y: Tensor, truth: Tensor) -> Tensor:
    """Return the PSNR for each weight of the grid and each sample, ``(len(GRID), len(y))``, with one solve."""
    x = restore(A, y.expand(len(GRID), *y.shape), GRID[:, None].expand(len(GRID), len(y)))
    return psnr(x, truth)


# %%
# Gradients of the score of the solutions go through the solve to whatever tensors it depends on.


def learn(score: Callable[[], Tensor], parameters: list[Tensor], niter: int) -> list[float]:
    """Maximise the mean score by L-BFGS, and return its history."""
    history, bar = [], tqdm(total=niter + 1, desc="solves and gradients", disable=None)
    optimizer = torch.optim.LBFGS(parameters, max_iter=niter, max_eval=niter + 1, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -score().mean()
        loss.backward()
        history.append(-loss.item())
        bar.update()
        return loss

    optimizer.step(closure)
    bar.close()
    return history


def motion(p: Tensor) -> Tensor:
    """Return the blur of a motion along a straight line, with a Gaussian profile across it."""
    length, direction, width = p[0].exp(), p[1], p[2].exp()
    i = torch.arange(-HALF, HALF + 1.0)
    along = i[:, None] * direction.sin() + i * direction.cos()
    across = i * direction.sin() - i[:, None] * direction.cos()
    ends = [torch.erf((along + end * length / 2) / (math.sqrt(2) * width)) for end in (1, -1)]
    h = (ends[0] - ends[1]) * torch.exp(-across.square() / (2 * width.square()))
    return h / h.sum()


def apparent_noise(y: Tensor) -> Tensor:
    """Return the logarithm of the mean absolute mixed difference of the data, which consists mostly of noise."""
    return y.diff(dim=-1).diff(dim=-2).abs().mean((-2, -1)).log()


# %%
# The weight: first one for all data, then one that depends on the noise of the data.


def show(axis: plt.Axes, image: Tensor, title: str) -> None:
    axis.imshow(image[HALF:-HALF, HALF:-HALF], cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])


torch.manual_seed(0)
A = blur(defocus_psf(half=HALF))
data, truths = [], []
for names in (TRAINING, TEST):  # each photograph with several levels of noise
    truth = crops(names).repeat(12 // len(names), 1, 1)
    level = torch.logspace(math.log10(0.006), math.log10(0.05), 12)[:, None, None]
    y = A(truth)
    data.append(y + level * torch.randn_like(y))
    truths.append(truth)
(y, unseen), (truth, unseen_truth) = data, truths

one = torch.tensor(-2.0, requires_grad=True)
history = {"one weight": learn(lambda: psnr(restore(A, y, one), truth), [one], 4)}
line = torch.tensor([one.item(), 0.0], requires_grad=True)
noise, unseen_noise = apparent_noise(y), apparent_noise(unseen)
middle = noise.mean()


def predicted(noise: Tensor) -> Tensor:
    return line[0] + line[1] * (noise - middle)


history["by the noise"] = learn(lambda: psnr(restore(A, y, predicted(noise)), truth), [line], 5)

with torch.no_grad():
    of_grid = on_grid(A, unseen, unseen_truth)
    of_one, of_each = restore(A, unseen, one), restore(A, unseen, predicted(unseen_noise))
    learned, adapted = psnr(of_one, unseen_truth), psnr(of_each, unseen_truth)
    same, by_noise = learned.mean().item(), adapted.mean().item()
    best, oracle = of_grid.mean(1).max().item(), of_grid.max(0).values.mean().item()
    common = one.exp().item()
    print(f"one weight: {common:.4f} by {len(history['one weight'])} solves and gradients")
    print(f"unseen photographs: one learned weight {same:.2f} dB, best of the grid {best:.2f} dB,", end=" ")
    print(f"weight by the noise {by_noise:.2f} dB, best weight of each {oracle:.2f} dB")
assert same > best - 0.1
assert by_noise > best + 0.3
assert by_noise > oracle - 0.2

# %%
# The weight that depends on the noise follows the best one of each photograph.

figure, panels = plt.subplot_mosaic("aabbcc;.ddee.", figsize=(11, 7), layout="constrained")
axes = list(panels.values())
axes[0].plot(GRID.exp(), of_grid.mean(1), "o-", color="0.5", label="grid of one weight")
axes[0].plot(common, same, "C3*", markersize=14, label="one weight, learned")
axes[0].axhline(by_noise, color="C0", label="weight by the noise, learned")
axes[0].axhline(oracle, color="k", linestyle=":", label="best weight of each")
axes[0].set(title="unseen photographs", xscale="log", xlabel="weight", ylabel="mean PSNR / dB")
axes[0].set_ylim(best - 4, oracle + 0.5)
axes[0].legend(fontsize="small")
for name, values in history.items():
    axes[1].plot(values, "o-", color="C3" if name == "one weight" else "C0", label=name)
axes[1].set(title="training photographs", xlabel="solve and gradient", ylabel="mean PSNR / dB")
axes[1].legend(fontsize="small")
axes[2].loglog(unseen_noise.exp(), GRID[of_grid.argmax(0)].exp(), "ko", label="best of the grid, of each")
ends = torch.stack([unseen_noise.min(), unseen_noise.max()])
axes[2].loglog(ends.exp(), predicted(ends).detach().exp(), "C0", label="learned")
axes[2].axhline(common, color="C3", label="one weight, learned")
axes[2].set(
    title="unseen photographs",
    xlabel="mixed differences / grey values",
    ylabel="weight",
    xticks=[0.02, 0.03, 0.05],
    xticklabels=["0.02", "0.03", "0.05"],
)
axes[2].xaxis.set_minor_locator(plt.NullLocator())
axes[2].legend(fontsize="small")
i = int((adapted - learned).argmax())
show(axes[3], of_one[i], f"one weight: {learned[i]:.1f} dB")
show(axes[4], of_each[i], f"weight by the noise: {adapted[i]:.1f} dB")

# %%
# The blur: its length, direction and width, together with the weight.

true = motion(TRUE)
A = blur(true)
sharp, unseen = crops(("astronaut", "chelsea", "motorcycle_left", "rocket")), crops(("coins",))
y, seen = A(sharp), A(unseen)
y, seen = y + 0.01 * torch.randn_like(y), seen + 0.01 * torch.randn_like(seen)

p, logeps = START.clone().requires_grad_(), torch.tensor(-2.5, requires_grad=True)
errors = []


def score() -> Tensor:
    h = motion(p)
    errors.append(((h - true).norm() / true.norm()).item())
    return psnr(restore(blur(h), y, logeps), sharp)


history = learn(score, [p, logeps], 20)
with torch.no_grad():
    filters = {"first guess": motion(START), "learned": motion(p), "true": true}
    restored, scores = {}, {}
    for name, h in filters.items():  # each with its best weight
        x = restore(blur(h), seen.expand(len(GRID), -1, -1), GRID)
        quality = psnr(x, unseen[0])
        restored[name], scores[name] = x[quality.argmax()], quality.max().item()
found, shape = p.detach(), ("length", "direction", "width")
values = [(q[0].exp().item(), q[1].item(), q[2].exp().item()) for q in (START, found, TRUE)]
for name, (first, last, truth) in zip(shape, zip(*values, strict=True), strict=True):
    print(f"{name} of the motion: {first:.2f} -> {last:.2f}, true {truth:.2f}")
last = ((filters["learned"] - true).norm() / true.norm()).item()
print(f"blur: relative error {100 * errors[0]:.1f} % -> {100 * last:.1f} % by {len(history)} solves and gradients")
print("unseen photograph: " + ", ".join(f"{name} blur {value:.2f} dB" for name, value in scores.items()))

assert last < 0.1 < errors[0]
assert scores["learned"] > scores["true"] - 0.2
assert scores["learned"] > scores["first guess"] + 1

# %%
# With the learned blur, the photograph is as sharp as with the true one.

figure, panels = plt.subplot_mosaic("aabbcc;.ddee.", figsize=(11, 7), layout="constrained")
axes = list(panels.values())
tiles = torch.cat([torch.nn.functional.pad(h, (1, 1, 1, 1), value=math.nan) for h in filters.values()], 1)
axes[0].imshow(tiles, cmap="magma", vmin=0, vmax=true.max())
axes[0].set(title="blur: first guess, learned, true", xlabel="pixel", yticks=[], xticks=[])
axes[1].semilogy(errors, "o-")
axes[1].set(title="learning the blur", xlabel="solve and gradient", ylabel="relative error of the blur")
show(axes[2], torch.nn.functional.pad(seen[0], (HALF,) * 4), "unseen photograph, shaken")
show(axes[3], restored["first guess"], f"by the first guess: {scores['first guess']:.1f} dB")
show(axes[4], restored["learned"], f"by the learned blur: {scores['learned']:.1f} dB")
