"""Learning the weights of two derivative operators through the resulting minimum.

A noisy photograph is restored by minimising ``J(x) = 1/2 ||x - y||^2 + w1 sum |G x| + w2 sum |D x|``, with the gradient
``G``, the second derivatives ``D``, and smoothed absolute values. To find the best ``w1`` and ``w2``, the error of the
minimiser on training photographs is differentiated with respect to both, by the implicit function theorem:
``dx/dw = -H^-1 d^2J/dx dw``. Products with the Hessian ``H`` and with the mixed derivative are computed by
``torch.func`` through the operators. No iterations of the solver are stored. The learned weights then restore unseen
photographs. With PyLops's TorchOperator, reverse over reverse mode silently gives a Hessian of zero, and forward over
reverse mode raises.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import Gradient, SecondDerivative, VStack
from torchlops.demo.deblurring import conjugate_gradients, quality
from torchlops.demo.photographs import TEST, central_crops

NOISE, CORNER, SIZE = 0.1, 0.02, 64
DIMS = (SIZE, SIZE)
G = Gradient(DIMS, kind="forward")
D = VStack([SecondDerivative(DIMS, axis=axis, edge=True) for axis in (0, 1)])


def cost(x: Tensor, y: Tensor, logw: Tensor) -> Tensor:
    first = (G(x).square().sum(-3) + CORNER**2).sqrt().sum()
    second = (D(x).reshape((*x.shape[:-2], 2, *DIMS)).square().sum(-3) + CORNER**2).sqrt().sum()
    return 0.5 * (x - y).square().sum() + logw[0].exp() * first + logw[1].exp() * second


def hessian_times(x: Tensor, y: Tensor, logw: Tensor, v: Tensor) -> Tensor:
    return torch.func.jvp(lambda x: torch.func.grad(cost)(x, y, logw), (x,), (v,))[1]


def minimise(x: Tensor, y: Tensor, logw: Tensor, niter: int) -> Tensor:
    """Return the minimiser by Newton's method from ``x``, halving the step of a photograph if its cost increases."""
    each = torch.func.vmap(cost, in_dims=(0, 0, None))
    for _ in range(niter):
        gradient = torch.func.grad(cost)(x, y, logw)
        step = conjugate_gradients(lambda v, x=x: hessian_times(x, y, logw, v), -gradient, torch.zeros_like(x), 10)
        length, now = torch.ones(len(x), 1, 1, dtype=x.dtype), each(x, y, logw)
        for _ in range(4):
            length = torch.where((each(x + length * step, y, logw) > now)[:, None, None], length / 2, length)
        x = x + length * step
    return x


def hypergradient(x: Tensor, y: Tensor, logw: Tensor, truth: Tensor) -> Tensor:
    """Return the derivative of ``mean (x - truth)^2`` with respect to ``logw`` at the minimiser ``x``."""
    error = 2 * (x - truth) / x.numel()
    q = conjugate_gradients(lambda v: hessian_times(x, y, logw, v), error, torch.zeros_like(x), 40)
    return -torch.func.grad(lambda logw: (q * torch.func.grad(cost)(x, y, logw)).sum())(logw)


def main(output: Path, steps: int = 10) -> None:
    torch.manual_seed(0)
    training = central_crops(("astronaut", "chelsea", "rocket"), SIZE).double()
    y = training + NOISE * torch.randn_like(training)
    logw = torch.tensor([0.01, 0.01], dtype=torch.float64).log().requires_grad_()

    optimizer = torch.optim.Adam([logw], lr=0.4, betas=(0.7, 0.9))
    weights, errors = [], []
    x = minimise(y, y, logw.detach(), 10)
    for _ in range(steps):
        x = minimise(x, y, logw.detach(), 3)
        weights.append(logw.detach().exp())
        errors.append(-10 * float((x - training).square().mean().log10()))
        logw.grad = hypergradient(x, y, logw.detach(), training)
        optimizer.step()

    learned, nudge = logw.detach(), torch.tensor([1e-3, 0.0], dtype=torch.float64)
    ends = [(minimise(x, y, learned + s * nudge, 8) - training).square().mean() for s in (1, -1)]
    by_differences = float(ends[0] - ends[1]) / 2e-3
    exact = float(hypergradient(minimise(x, y, learned, 8), y, learned, training)[0])

    truth = central_crops(TEST, SIZE).double()
    noisy = truth + NOISE * torch.randn_like(truth)
    restored = {n: minimise(noisy, noisy, w.log(), 12) for n, w in (("first", weights[0]), ("learned", learned.exp()))}
    scores = {n: [quality(a, b)[0] for a, b in zip(z, truth, strict=True)] for n, z in restored.items()}
    means = {name: sum(values) / len(values) for name, values in scores.items()}
    print(f"weights {weights[0].tolist()} -> {[round(w, 4) for w in learned.exp().tolist()]}")
    print(
        f"training photographs {errors[0]:.2f} -> {errors[-1]:.2f} dB; "
        f"unseen {means['first']:.2f} -> {means['learned']:.2f} dB"
    )
    print(f"derivative by the first weight: {exact:.4e}, by finite differences {by_differences:.4e}")

    figure = plt.figure(figsize=(13, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2))
    upper, lower = left.subplots(2, 1, sharex=True)
    upper.plot([w[0] for w in weights], "C0o-", label="w1, first derivatives")
    upper.plot([w[1] for w in weights], "C1s-", label="w2, second derivatives")
    upper.set(title="learning on 3 photographs", ylabel="weight", yscale="log")
    upper.legend()
    lower.plot(errors, "C3o-")
    lower.set(xlabel="step of the weights", ylabel="PSNR of the minimisers / dB")
    rows = {"with noise": noisy, "first weights": restored["first"], "learned weights": restored["learned"]}
    for i, (row, (title, images)) in enumerate(zip(right.subplots(3, 4), rows.items(), strict=True)):
        row[0].set_ylabel(title)
        for j, (axis, image) in enumerate(zip(row, images, strict=True)):
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[], xlabel=f"{quality(image, truth[j])[0]:.1f} dB", title="" if i else TEST[j])
    figure.savefig(output / "derivatives.png", dpi=80)
    plt.close(figure)
    assert abs(exact - by_differences) < 0.01 * abs(by_differences) + 1e-7
    assert means["learned"] > means["first"] + 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("examples/figures"), help="folder for the figure")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    main(arguments.output)
