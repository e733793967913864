r"""
Missing pixels by a Gaussian process, with its hyperparameters
==============================================================

What do missing pixels look like, and how certain is that? Two fifths of the pixels of a part of scikit-image's
photograph of the moon are given, with noise.

The photograph is a Gaussian process with a Matérn covariance along each axis, a ``Kronecker`` product :math:`K`. The
data :math:`y` at given pixels, a ``Restriction`` :math:`R`, have the covariance :math:`A = R K R^H + s^2 I`. Its
standard deviation, its length and the noise :math:`s` minimise the negative logarithm of the likelihood,

.. math:: \tfrac12 \, y^T A^{-1} y + \tfrac12 \log \det A + \mathrm{const},

whose gradient goes through ``linalg.solve`` and ``linalg.logdet`` to the tensors of the operator, and whose Hessian, of
second derivatives through both, gives the standard errors of the hyperparameters.
"""

import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import Identity, Kronecker, LinearOperator, MatrixMult, Restriction, linalg, plot
from torchlops.demo.photographs import photograph

N, SHARE, NOISE = 32, 0.4, 0.02
"""Rows and columns, share of the pixels that are given, standard deviation of the noise."""

torch.manual_seed(0)
truth = photograph("moon")[60:188:4, 300:428:4].double()
level = truth.mean()
given = torch.randperm(N * N)[: int(SHARE * N * N)].sort().values
R = Restriction(N * N, given)
y = R(truth.flatten()) + NOISE * torch.randn(len(given), dtype=torch.float64)

# %%
# The covariance of the photograph, and the likelihood of the logarithms of standard deviation, length and noise.

distance = (torch.arange(N)[:, None] - torch.arange(N)).abs().double()


def covariance(p: Tensor) -> LinearOperator:
    scaled = math.sqrt(3) * distance / p[1].exp()
    one = MatrixMult((1 + scaled) * torch.exp(-scaled))
    return (2 * p[0]).exp() * Kronecker(one, one)


def of_data(p: Tensor) -> LinearOperator:
    return R @ covariance(p) @ R.H + (2 * p[2]).exp() * Identity(len(given))


def loss(p: Tensor) -> Tensor:
    A, r = of_data(p), y - level
    return 0.5 * r @ linalg.solve(A, r) + 0.5 * linalg.logdet(A)


# %%
# L-BFGS finds the minimum in a few steps, and the Hessian how sharp it is.

p = torch.tensor([0.1, 2.0, 0.1], dtype=torch.float64).log().requires_grad_()
optimizer = torch.optim.LBFGS([p], max_iter=30, tolerance_change=1e-6, line_search_fn="strong_wolfe")
losses, bar = [], tqdm(desc="likelihoods", disable=None)


def closure() -> Tensor:
    optimizer.zero_grad()
    value = loss(p)
    value.backward()
    losses.append(value.item())
    bar.update()
    return value


optimizer.step(closure)
bar.close()
best = p.detach()
errors = torch.func.hessian(loss)(best).inverse().diagonal().sqrt()
for name, unit, value, error in zip(
    ("standard deviation", "length", "noise"), ("", " pixels", ""), best, errors, strict=True
):
    print(f"{name}: {value.exp():.4f}{unit}, up to a factor of {error.exp():.2f}")
print(f"likelihood: {len(losses)} evaluations, its negative logarithm {losses[0]:.0f} -> {losses[-1]:.0f}")
assert losses[-1] < losses[0] - 100
assert abs(float(best[2] - math.log(NOISE))) < 3 * float(errors[2])  # the true noise is within three standard errors

# %%
# The posterior mean, and the standard deviations around it.

with torch.no_grad():
    K, A = covariance(best), of_data(best)
    mean = level + K(R.H(linalg.solve(A, y - level)))
    cross = R(K(torch.eye(N * N, dtype=torch.float64)))  # the covariance of the data with each pixel
    variance = linalg.diagonal(K) - (cross * linalg.solve(A, cross)).sum(-1)
deviation = variance.sqrt()
missing = torch.ones(N * N, dtype=torch.bool).index_fill(0, given, False)
error = (mean - truth.flatten())[missing]
rms, spread = float(error.square().mean().sqrt()), float((truth.flatten()[missing] - level).square().mean().sqrt())
within = float((error.abs() < 1.96 * deviation[missing]).double().mean())
print(f"missing pixels: rms error {rms:.3f} (grey values), their spread {spread:.3f}")
print(f"within 1.96 standard deviations: {100 * within:.0f} % (95 % if craters were Gaussian)")
assert rms < 0.5 * spread
assert 0.85 < within < 0.99

figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 6.4), layout="constrained")
axes = list(panels.values())
seen = torch.full((N * N,), math.nan, dtype=torch.float64).index_copy(0, given, y)
grey = {"cmap": "gray", "vmin": float(truth.min()), "vmax": float(truth.max()), "xlabel": "column", "ylabel": "row"}
plot.image(truth, axes[0], title="photograph", label="grey value", **grey)
plot.image(seen.reshape(N, N), axes[1], title="given pixels, with noise", label="grey value", **grey)
plot.image(mean.reshape(N, N), axes[2], title=f"mean, error {rms:.3f}", label="grey value", **grey)
plot.image(
    deviation.reshape(N, N), axes[3], title="standard deviation", label="grey value", xlabel="column", ylabel="row"
)
axes[1].set_facecolor("tab:blue")
plot.spectrum(A, axes[4], values="eigenvalues", title="eigenvalues of A", marker="")
axes[4].axhline((2 * best[2]).exp(), color="C3", linestyle="--", label="noise, $s^2$")
axes[4].set_yscale("log")
axes[4].legend()
