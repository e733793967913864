r"""
Transmissivity of an aquifer, with two linear preconditioners
=============================================================

What is the transmissivity of an aquifer, given the drawdown in its wells while water is pumped from some of them? The
true field is drawn from a Matérn covariance, and the data of eight simulated pumping tests have 5 % of noise.
(Hydraulic tomography: Yeh and Liu, Water Resources Research 36, 2095, 2000.)

The drawdown :math:`u` in a leaky aquifer solves

.. math:: (D^H \mathrm{diag}(e^m) D + \ell I)\, u = q,

with the gradient :math:`D`, the logarithm :math:`m` of the transmissivity, the leakance :math:`\ell` and the pumping
rate :math:`q`. It is nonlinear in :math:`m`. The forward model is a composition of operators and a call of ``cg``, for
all pumping tests at once. Its gradient is implicit and takes one additional solve.

- The preconditioner ``M`` of ``cg`` is the inverse of the operator of a uniform aquifer, which is diagonal under cosine
  transforms, between two scalings by :math:`e^{-m/2}` (Concus and Golub, SIAM J. Numer. Anal. 10, 1103, 1973).
- The inversion minimises :math:`\tfrac12 \|(\mathrm{drawdown} - \mathrm{data}) / \mathrm{noise}\|^2 + \tfrac12 \|P^{-1}
  m\|^2` by L-BFGS: once for :math:`m`, and once for :math:`p` with :math:`m = P p`. :math:`P` is a linear operator, a
  square root of the covariance of :math:`m`. Both minimise the same function of :math:`m`, but only the second
  converges.
"""

import math
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import Diagonal, Gradient, Identity, LinearOperator, Restriction, cg
from torchlops.signalprocessing import DCT

N, LEAKANCE, LENGTH, NOISE, STEPS = 32, 1e-3, 6.0, 0.05, 30
"""Cells per axis; leakance divided by transmissivity, in 1/cell^2; correlation length in cells; noise; iterations."""

DIMS = (N, N)
D, C = Gradient(DIMS, kind="forward"), DCT(DIMS)
WELLS = (N * torch.arange(4, N, 8)[:, None] + torch.arange(4, N, 8)).flatten()
PUMPED = WELLS[::2]
AT_WELLS = Restriction(N * N, WELLS)

# %%
# Functions of the Laplacian, by cosine transforms: the covariance, its root, and the preconditioner of ``cg``.


def of_laplacian(function: Callable[[Tensor], Tensor]) -> LinearOperator:
    """Return a function of the operator ``D^H D``, whose eigenvectors are cosines."""
    values = 2 - 2 * torch.cos(math.pi * torch.arange(N, dtype=torch.float64) / N)
    F: LinearOperator = C.H @ Diagonal(function(values[:, None] + values)) @ C
    return F


# %%
# The forward model, with its solver inside.


def drawdowns(m: Tensor, preconditioned: bool = True) -> Any:
    """Return the result of the solver for all pumping tests: ``x`` is ``(len(PUMPED), N, N)``."""
    q = torch.nn.functional.one_hot(PUMPED, N * N).to(m).reshape(-1, N, N)
    faces = m + 0.5 * D(m)  # means of neighbours
    A = D.H @ Diagonal(faces.exp()) @ D + LEAKANCE * Identity(DIMS)
    scaling = Diagonal((-0.5 * m.detach()).exp())
    M = scaling @ of_laplacian(lambda values: 1 / (values + LEAKANCE)) @ scaling if preconditioned else None
    return cg(A, q, niter=2000, tol=0, rtol=1e-6, M=M)


# %%
# L-BFGS, which records each of its iterations.


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
    for _ in tqdm(range(STEPS), desc="L-BFGS", disable=None):
        costs.append(optimizer.step(closure).item())  # the cost at the start of the step
        errors.append(error())
    with torch.no_grad():
        costs.append(cost(unknown).item())
    return model_of(unknown.detach()), costs, errors


# %%
# The true field, and the data of all tests.

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

# %%
# The inversion for each of the two variables.


def misfit(m: Tensor) -> Tensor:
    residual = elsewhere * (AT_WELLS(drawdowns(m).x.flatten(1)) - data) / deviation
    return 0.5 * residual.square().sum()


plain = minimise(lambda m: misfit(m) + 0.5 * P_inverse(m).square().sum(), lambda m: m, truth)
preconditioned = minimise(lambda p: misfit(P(p)) + 0.5 * p.square().sum(), P, truth)
runs = {"for m": plain, "for p, m = P p": preconditioned}

# %%
# Both preconditioners pay.

without = drawdowns(truth, preconditioned=False)
inner = int(exact.iters.max()), int(without.iters.max())
print(f"iterations of cg for {len(PUMPED)} tests: {inner[1]} without the preconditioner, {inner[0]} with it")
count = int(elsewhere.sum())
for name, (model, costs, errors) in runs.items():
    with torch.no_grad():
        fit = math.sqrt(2 * misfit(model).item() / count)
    print(f"L-BFGS {name}: cost {costs[0]:.0f}, after 10 iterations {costs[10]:.1f}, after {STEPS} {costs[-1]:.1f};")
    print(f"    residuals {fit:.2f} times the noise; relative error of m {errors[10]:.2f}, then {errors[-1]:.2f}")
overtaken = next(i for i, value in enumerate(preconditioned[1]) if value < plain[1][-1])
print(f"the preconditioned cost is below all {STEPS} iterations of the other after {overtaken}")

assert float((P_inverse(P(truth)) - truth).norm()) < 1e-10 * float(truth.norm())  # the same cost in two variables
assert float((without.x - exact.x).norm()) < 1e-4 * float(exact.x.norm())
assert 8 * inner[0] < inner[1]
assert overtaken <= STEPS // 3
assert preconditioned[1][-1] < 0.5 * plain[1][-1]
assert preconditioned[2][-1] < 0.7 * plain[2][-1]


# %%
# Without the second one, L-BFGS is far from the minimum after thirty iterations.

figure, axes = plt.subplots(2, 3, figsize=(11.5, 7), layout="constrained")
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
    axis.set(title=title, xlabel="cell", ylabel="cell")
figure.colorbar(shown, ax=axes[0, 2], label="m, logarithm of the transmissivity")

test = len(PUMPED) // 2
shown = axes[1, 0].imshow(exact.x[test].log10(), cmap="magma")
axes[1, 0].plot(columns, rows, "o", color="w", markeredgecolor="k")
axes[1, 0].plot(PUMPED[test] % N, PUMPED[test] // N, ".", color="k")
axes[1, 0].set(title="drawdown in one of the tests", xlabel="cell", ylabel="cell")
figure.colorbar(shown, ax=axes[1, 0], label="logarithm (base 10) of the drawdown")
for name, result, color in (("no preconditioner", without, "C0"), ("cosine transforms as M", exact, "C1")):
    axes[1, 1].semilogy(result.cost / result.cost[0], color=color, linewidth=0.8)
    axes[1, 1].plot([], color=color, label=name)
axes[1, 1].axhline(1e-6, color="k", linewidth=0.8, linestyle=":")
axes[1, 1].set(title="cg, each test", xlabel="iteration", ylabel="relative residual")
for name, (_, costs, _) in runs.items():
    axes[1, 2].semilogy(costs, label=name)
axes[1, 2].set(title="inversion, two variables", xlabel="iteration of L-BFGS", ylabel="cost")
for axis in axes[1, 1:]:
    axis.legend()
    axis.grid(alpha=0.3, which="both")
