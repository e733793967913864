r"""
Four sparse solvers on one deconvolution
========================================

Which solver finds the reflectors in a seismic trace, and after how many iterations? A synthetic trace with twelve
reflectors, some of them closer than the wavelet is long, has noise of a tenth of its standard deviation, a level that
is known.

With the convolution :math:`A`, the solvers ``ista`` and ``fista`` minimise

.. math:: \|A x - y\|^2 + \epsilon \|x\|_1,

``spgl1`` minimises :math:`\|x\|_1` for :math:`\|A x - y\| \le \sigma`, where :math:`\sigma` is the norm of the noise,
and ``omp`` picks columns of :math:`A` one by one, until the residual is that small. One over the multiplier of the
constraint of ``spgl1`` is the :math:`\epsilon` for which the other problem has the same solution.
"""

import matplotlib.pyplot as plt
import torch

from torchlops import cgls, fista, ista, omp, plot, ricker, spgl1
from torchlops.signalprocessing import Convolve1D

NT, DT, SPIKES, NOISE = 250, 0.004, 12, 0.1
torch.manual_seed(0)
wavelet, _, center = ricker(torch.arange(25, dtype=torch.float64) * DT, f0=25)
A = Convolve1D(NT, wavelet, offset=center)
true = torch.zeros(NT, dtype=torch.float64)
places = torch.randperm((NT - 40) // 4)[:SPIKES] * 4 + 20
true[places] = torch.randn(SPIKES).double().sign() * (0.4 + 0.6 * torch.rand(SPIKES).double())
clean = A(true)
noise = NOISE * clean.std() * torch.randn_like(clean)
y = clean + noise
sigma = float(noise.norm())

# %%
# SPGL1 finds the multiplier, and so :math:`\epsilon`. With it, all three minimise the same function.

found = {"spgl1": spgl1(A, y, sigma=sigma, iter_lim=2000)}
x = found["spgl1"].x
eps = 2 * float(A.H(y - A(x)).abs().max())
found |= {solver.__name__: solver(A, y, eps=eps, niter=3000, tol=1e-9) for solver in (ista, fista)}
found["omp"] = omp(A, y, niter_outer=60, sigma=sigma)
for name, result in found.items():
    misfit, count = float((A(result.x) - y).norm()) / sigma, int((result.x.abs() > 1e-3).sum())
    print(f"{name}: {int(result.iters)} iterations, residual {misfit:.3f} times the noise, {count} spikes")
for name in ("ista", "fista"):
    assert float((found[name].x - x).norm()) < 1e-4 * float(x.norm())
assert abs(float((A(x) - y).norm()) / sigma - 1) < 1e-3

# %%
# The cost of FISTA comes within a thousandth of the minimum in a fraction of the iterations of ISTA.

least = min(float(found[name].cost[-1]) for name in ("ista", "fista"))
excess = {name: (found[name].cost - least) / least for name in ("ista", "fista")}
reached = {name: int((values < 1e-3).nonzero()[0]) for name, values in excess.items()}
print("iterations to within a thousandth of the minimum: " + ", ".join(f"{n} {k}" for n, k in reached.items()))
assert reached["fista"] < 0.5 * reached["ista"]

# %%
# The penalty makes all spikes smaller. Least squares on those that were found, the columns of the operator where the
# solution is not zero, removes that. ``omp`` does so from the start, but its early picks lie between close reflectors,
# and later ones have to correct them.

support = (x.abs() > 0.05).nonzero().flatten()
refined = torch.zeros_like(x)
refined[support] = cgls(A.apply_columns(support.tolist()), y, niter=200, tol=0, gtol=1e-8).x
solutions = {"spgl1, ista, fista": x, "least squares on its spikes": refined, "omp": found["omp"].x}
errors = {name: float((m - true).norm() / true.norm()) for name, m in solutions.items()}
print("relative error: " + ", ".join(f"{name} {error:.3f}" for name, error in errors.items()))
assert errors["least squares on its spikes"] < errors["spgl1, ista, fista"] < 0.3 * errors["omp"]

figure, axes = plt.subplot_mosaic("aaad;bbbd;ccce", figsize=(11, 6.6), layout="constrained")
t = DT * torch.arange(NT)
for key, (name, m) in zip("abc", solutions.items(), strict=True):
    axes[key].vlines(t, 0, true, color="0.7", linewidth=5, label="true")
    axes[key].vlines(t, 0, m, color="C3", linewidth=1.5, label="found")
    axes[key].set(title=f"{name}: error {errors[name]:.2f}", ylabel="reflectivity", ylim=(-1.3, 1.3))
axes["c"].set(xlabel="time / s")
axes["a"].legend(loc="lower right", ncols=2)
for name, values in excess.items():
    plot.convergence(values.clamp_min(1e-9), axes["d"], relative=False, label=name, marker="")
axes["d"].set(title="cost above the minimum", ylabel="relative", ylim=(1e-7, None))
axes["e"].plot(t, y, "0.6", label="data")
axes["e"].plot(t, A(x), "C3", linewidth=1, label="modelled")
axes["e"].set(title="trace", xlabel="time / s", ylabel="amplitude")
axes["e"].legend()
