r"""
A wavefield by three Krylov solvers
===================================

Which wavefield does a source make in a layered earth, and which solver is fastest? The model is a section of three
layers with a lens of salt, 64 x 64 cells of 20 m, and the frequency is 8 Hz.

The Helmholtz equation,

.. math:: \bigl( -D^H D + (1 + i \gamma)\, \omega^2 s^2 \bigr)\, u = q,

with the gradient :math:`D`, the slowness :math:`s` and a damping :math:`\gamma` that absorbs waves at the edges, is
neither definite nor Hermitian: ``gmres`` and ``bicgstab`` solve it. Their preconditioner is the inverse of the
same equation for a mean slowness and with strong damping (a shifted Laplacian: Erlangga, Vuik and Oosterlee, Applied
Numerical Mathematics 50, 409, 2004), which cosine transforms make diagonal. Without damping, the equation is Hermitian
but indefinite, which is what ``minres`` is for.
"""

import math

import matplotlib.pyplot as plt
import torch

from torchlops import Diagonal, Gradient, LinearOperator, bicgstab, gmres, minres, plot
from torchlops.signalprocessing import DCT

N, STEP, FREQUENCY = 64, 20.0, 8.0
"""Cells per axis, their size in m, frequency in Hz."""

x = STEP * torch.arange(N, dtype=torch.float64)
depth, lateral = x[:, None], x[None, :]
velocity = torch.where(depth < 400, 1800.0, torch.where(depth < 800 + 0.15 * lateral, 2300.0, 3000.0)).double()
salt = ((depth - 600) / 120) ** 2 + ((lateral - 820) / 220) ** 2 < 1
velocity[salt] = 4200.0

# %%
# The operator, from the squared slowness; the source is near the surface.

D, C = Gradient((N, N), sampling=(STEP, STEP), kind="forward"), DCT((N, N))
edge = torch.minimum(torch.arange(N), N - 1 - torch.arange(N)).double()
absorbing = (1 - torch.minimum(edge[:, None], edge) / 12).clamp_min(0).square()
omega = 2 * math.pi * FREQUENCY


def helmholtz(slowness2: torch.Tensor, damping: torch.Tensor) -> LinearOperator:
    return Diagonal(omega**2 * slowness2 * (1 + 1j * damping)) - D.H @ D


values = (2 - 2 * torch.cos(math.pi * torch.arange(N, dtype=torch.float64) / N)) / STEP**2
laplacian = values[:, None] + values  # the eigenvalues of D^H D
slowness2 = velocity**-2
A = helmholtz(slowness2, absorbing)
shifted = omega**2 * slowness2.mean() * (1 + 0.6j) - laplacian
M = C.H @ Diagonal(1 / shifted) @ C
q = torch.zeros(N, N, dtype=torch.complex128)
q[3, N // 2] = 1 / STEP**2

# %%
# Both solvers take a tenth of the iterations or less with the preconditioner, and find the same wavefield.

options = {"niter": 3000, "rtol1": 1e-6}
runs = {
    "gmres": gmres(A, q, restart=50, **options),
    "bicgstab": bicgstab(A, q, **options),
    "gmres, preconditioned": gmres(A, q, M=M, restart=50, **options),
    "bicgstab, preconditioned": bicgstab(A, q, M=M, **options),
}
u = runs["gmres, preconditioned"].x
for name, run in runs.items():
    print(f"{name}: {int(run.iters)} iterations")
    assert bool(run.converged)
    assert float((run.x - u).norm()) < 1e-3 * float(u.norm())
for name in ("gmres", "bicgstab"):
    assert int(runs[f"{name}, preconditioned"].iters) < 0.15 * int(runs[name].iters)

# %%
# Without damping, waves are trapped in the section. The preconditioner of ``minres`` must be positive definite: it
# takes the moduli of the eigenvalues.

cavity = helmholtz(slowness2, torch.zeros(N, N, dtype=torch.float64))
positive = C.H @ Diagonal(1 / shifted.abs()) @ C
trapped = minres(cavity, q.real, M=positive, **options)
residual = float((cavity(trapped.x) - q.real).norm() / q.real.norm())
print(f"minres, preconditioned: {int(trapped.iters)} iterations, relative residual {residual:.0e}")
assert residual < 1e-5

# %%
# How much the amplitude at a receiver depends on the slowness of each cell is a derivative of the solution: implicit,
# by one solve with the adjoint. Finite differences agree.

receiver = (3, N - 14)


def amplitude(slowness2: torch.Tensor) -> torch.Tensor:
    return gmres(helmholtz(slowness2, absorbing), q, M=M, restart=50, niter=3000, rtol1=1e-9).x[receiver].abs()


(kernel,) = torch.autograd.grad(amplitude(slowness2.requires_grad_()), slowness2)
with torch.no_grad():
    change = 1e-4 * slowness2 * torch.exp(-(((depth - 700) / 100) ** 2) - ((lateral - 900) / 100) ** 2)
    difference = float(amplitude(slowness2 + change) - amplitude(slowness2 - change)) / 2
by_kernel = float((kernel * change).sum())
print(f"change of the amplitude: {by_kernel:.4e} by the derivative, {difference:.4e} by finite differences")
assert abs(by_kernel - difference) < 1e-3 * abs(difference)

figure, panels = plt.subplot_mosaic("ab;cd", figsize=(10.5, 8.6), layout="constrained")
axes = list(panels.values())
where = {"x": x, "y": x, "xlabel": "distance / m", "ylabel": "depth / m", "aspect": "equal"}
plot.image(velocity / 1000, axes[0], title="velocity", label="km/s", **where)
wave = u.real / u.real.abs().quantile(0.995)
plot.image(
    wave,
    axes[1],
    title=f"wavefield, {FREQUENCY:g} Hz",
    label="amplitude, relative",
    symmetric=True,
    vmin=-1,
    vmax=1,
    **where,
)
for (name, run), color in zip(runs.items(), ("C0", "C1", "C0", "C1"), strict=True):
    style = "-" if "," in name else ":"
    plot.convergence(run, axes[2], label=name, color=color, linestyle=style, marker="")
axes[2].set(xscale="symlog", title="convergence", ylabel="relative residual")
relative = kernel * slowness2.detach() / amplitude(slowness2).detach()
plot.image(relative, axes[3], title="sensitivity of the receiver", label="d log amplitude / d log slowness²",
           symmetric=True, vmin=-0.1, vmax=0.1, **where)  # fmt: skip
axes[3].plot(x[N // 2], x[3], "k*", x[receiver[1]], x[3], "kv")
