"""Two linear preconditioners in a nonlinear problem: the transmissivity of an aquifer from pumping tests.

The drawdown ``u`` in a leaky aquifer solves ``(D^H diag(exp(m)) D + l I) u = q``, with the gradient ``D``, the
logarithm ``m`` of the transmissivity, the leakance ``l`` and the pumping rate ``q``. It is nonlinear in ``m``. The
forward model is a composition of operators and a call of ``cg``, for all pumping tests at once. Its gradient is
implicit and takes one additional solve. (Hydraulic tomography: Yeh and Liu, Water Resources Research 36, 2095, 2000.)

- The preconditioner ``M`` of ``cg`` is the inverse of the operator of a uniform aquifer, which is diagonal under cosine
  transforms, between two scalings by ``exp(-m / 2)`` (Concus and Golub, SIAM J. Numer. Anal. 10, 1103, 1973).
- The inversion minimises ``|(drawdown at the wells - data) / noise|^2 / 2 + |P^-1 m|^2 / 2`` by L-BFGS: once for
  ``m``, and once for ``p`` with ``m = P p``. ``P`` is a linear operator, a square root of the covariance of ``m``. Both
  minimise the same function of ``m``, but only the second converges. (The true field is drawn from that covariance.)
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import Diagonal, Gradient, Identity, LinearOperator, Restriction, cg
from torchlops.signalprocessing import DCT

N, LEAKANCE, LENGTH, NOISE, STEPS = 32, 1e-3, 6.0, 0.05, 30
"""Cells per axis; leakance divided by transmissivity, in 1/cell^2; correlation length in cells; noise; iterations."""

DIMS = (N, N)
D, C = Gradient(DIMS, kind="forward"), DCT(DIMS)
WELLS = (N * torch.arange(4, N, 8)[:, None] + torch.arange(4, N, 8)).flatten()
PUMPED = WELLS[::2]
AT_WELLS = Restriction(N * N, WELLS)


def of_laplacian(function: Callable[[Tensor], Tensor]) -> LinearOperator:
    """Return a function of the operator ``D^H D``, whose eigenvectors are cosines."""
    values = 2 - 2 * torch.cos(math.pi * torch.arange(N, dtype=torch.float64) / N)
    F: LinearOperator = C.H @ Diagonal(function(values[:, None] + values)) @ C
    return F


def drawdowns(m: Tensor, preconditioned: bool = True) -> Any:
    """Return the result of the solver for all pumping tests: ``x`` is ``(len(PUMPED), N, N)``."""
    q = torch.nn.functional.one_hot(PUMPED, N * N).to(m).reshape(-1, N, N)
    faces = m + 0.5 * D(m)  # means of neighbours
    A = D.H @ Diagonal(faces.exp()) @ D + LEAKANCE * Identity(DIMS)
    scaling = Diagonal((-0.5 * m.detach()).exp())
    M = scaling @ of_laplacian(lambda values: 1 / (values + LEAKANCE)) @ scaling if preconditioned else None
    return cg(A, q, niter=2000, tol=0, rtol=1e-6, M=M)


def minimise(
    cost: Callable[[Tensor], Tensor], model_of: Callable[[Tensor], Tensor], truth: Tensor
) -> tuple[Tensor, list[float], list[float]]:
    """Return the model, and its cost and relative error at the start and after each iteration."""
    unknown = torch.zeros_like(truth, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [unknown],
        max_iter=1,  # to record each iteration; its line search may take several evaluations
        max_eval=25,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = cost(unknown)
        value.backward()
        return value

    def error() -> float:
        return float((model_of(unknown.detach()) - truth).norm() / truth.norm())

    costs, errors = [], [error()]
    for _ in range(STEPS):
        costs.append(optimizer.step(closure).item())  # the cost at the start of the step
        errors.append(error())
    with torch.no_grad():
        costs.append(cost(unknown).item())
    return model_of(unknown.detach()), costs, errors


def main(output: Path) -> None:
    torch.manual_seed(0)
    # A Matérn covariance with smoothness 2 and a standard deviation of about 1, by its spectrum.
    amplitude = math.sqrt(8 * math.pi) * LENGTH
    P = of_laplacian(lambda values: amplitude * (1 + LENGTH**2 * values) ** -1.5)
    P_inverse = of_laplacian(lambda values: (1 + LENGTH**2 * values) ** 1.5 / amplitude)
    truth = P(torch.randn(DIMS, dtype=torch.float64))
    exact = drawdowns(truth)
    elsewhere = PUMPED[:, None] != WELLS  # the drawdown in a pumped well reflects the well, not the aquifer
    clean = AT_WELLS(exact.x.flatten(1))
    deviation = NOISE * clean[elsewhere].std()
    data = clean + deviation * torch.randn_like(clean)

    def misfit(m: Tensor) -> Tensor:
        residual = elsewhere * (AT_WELLS(drawdowns(m).x.flatten(1)) - data) / deviation
        return 0.5 * residual.square().sum()

    plain = minimise(lambda m: misfit(m) + 0.5 * P_inverse(m).square().sum(), lambda m: m, truth)
    preconditioned = minimise(lambda p: misfit(P(p)) + 0.5 * p.square().sum(), P, truth)
    runs = {"for m": plain, "for p, m = P p": preconditioned}

    without = drawdowns(truth, preconditioned=False)
    inner = int(exact.iters.max()), int(without.iters.max())
    print(f"iterations of cg for {len(PUMPED)} tests: {inner[1]} without the preconditioner, {inner[0]} with it")
    count = int(elsewhere.sum())
    for name, (model, costs, errors) in runs.items():
        with torch.no_grad():
            fit = math.sqrt(2 * misfit(model).item() / count)
        print(
            f"L-BFGS {name}: cost {costs[0]:.0f}, after 10 iterations {costs[10]:.1f}, after {STEPS} {costs[-1]:.1f};"
        )
        print(f"    residuals {fit:.2f} times the noise; relative error of m {errors[10]:.2f}, then {errors[-1]:.2f}")
    overtaken = next(i for i, value in enumerate(preconditioned[1]) if value < plain[1][-1])
    print(f"the preconditioned cost is below all {STEPS} iterations of the other after {overtaken}")
    draw(output / "nonlinear.png", truth, exact, without, runs)

    assert float((P_inverse(P(truth)) - truth).norm()) < 1e-10 * float(truth.norm())  # the same cost in two variables
    assert float((without.x - exact.x).norm()) < 1e-4 * float(exact.x.norm())
    assert 8 * inner[0] < inner[1]
    assert overtaken <= STEPS // 3
    assert preconditioned[1][-1] < 0.5 * plain[1][-1]
    assert preconditioned[2][-1] < 0.7 * plain[2][-1]


def draw(
    path: Path,
    truth: Tensor,
    exact: Any,
    without: Any,
    runs: dict[str, tuple[Tensor, list[float], list[float]]],
) -> None:
    """Draw the fields, and the convergence of both kinds of iterations."""
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.4), layout="constrained")
    limit = float(truth.abs().max())
    fields = {
        "true; black: the wells that are pumped": truth,
        **{f"L-BFGS {name}: error {errors[-1]:.2f}": model for name, (model, _, errors) in runs.items()},
    }
    rows, columns = WELLS // N, WELLS % N
    for axis, (title, field) in zip(axes[0], fields.items(), strict=True):
        shown = axis.imshow(field, cmap="viridis", vmin=-limit, vmax=limit)
        axis.plot(columns, rows, "o", color="w", markeredgecolor="k")
        axis.plot(PUMPED % N, PUMPED // N, ".", color="k")
        axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes[0, 2], label="m, logarithm of the transmissivity")

    test = len(PUMPED) // 2
    shown = axes[1, 0].imshow(exact.x[test].log10(), cmap="magma")
    axes[1, 0].plot(columns, rows, "o", color="w", markeredgecolor="k")
    axes[1, 0].plot(PUMPED[test] % N, PUMPED[test] // N, ".", color="k")
    axes[1, 0].set(title="drawdown in one of the tests", xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes[1, 0], label="$\\log_{10} u$")
    for name, result, color in (("no preconditioner", without, "C0"), ("cosine transforms as M", exact, "C1")):
        axes[1, 1].semilogy(result.cost / result.cost[0], color=color, linewidth=0.8)
        axes[1, 1].plot([], color=color, label=name)
    axes[1, 1].axhline(1e-6, color="k", linewidth=0.8, linestyle=":")
    axes[1, 1].set(title="cg in the modelling, each test", xlabel="iteration", ylabel="relative residual")
    for name, (_, costs, _) in runs.items():
        axes[1, 2].semilogy(costs, label=name)
    axes[1, 2].set(title="inversion, the same cost in two variables", xlabel="iteration of L-BFGS", ylabel="cost")
    for axis in axes[1, 1:]:
        axis.legend()
        axis.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("examples/figures"), help="folder for the figure")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    main(arguments.output)
