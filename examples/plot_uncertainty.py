r"""
How certain is an estimated impedance?
======================================

Which parts of an impedance log does a seismic trace determine? The log is a synthetic well of 80 samples with layers of
random thickness, the trace its reflections with a Ricker wavelet and noise.

The trace is :math:`d = W \tanh(D m / 2)`, with the logarithm :math:`m` of the impedance, the forward difference
:math:`D` and the convolution :math:`W`. With a Gaussian prior, the negative logarithm of the posterior density is

.. math:: J(m) = \frac{\|W \tanh(D m / 2) - d\|^2}{2 s^2} + \tfrac12 \|P^{-1} (m - m_0)\|^2,

and near its minimum, the covariance of :math:`m` is the inverse of its Hessian (Laplace's approximation). Derivatives
of second order go through the operators:

- ``torch.func.hessian`` gives the Hessian, and Newton's method with it the minimum;
- ``torch.func.vmap`` makes the same method find the minima for 300 perturbed data at once, whose spread is a check
  (randomised maximum likelihood: Oliver, He and Reynolds, ECMOR V, 1996);
- products with the Hessian, forward over reverse mode, are a ``LinearOperator`` of their own, whose leading
  eigenvectors are what the trace has determined. No matrix is needed for them.
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from torchlops import CausalIntegration, FirstDerivative, LinearOperator, linalg, plot, ricker
from torchlops.signalprocessing import Convolve1D

NT, DT, NOISE, SPREAD = 80, 0.004, 0.003, 0.06
"""Samples, sampling in s, noise of the trace, standard deviation of a step of the log-impedance."""

torch.manual_seed(0)
wavelet, _, center = ricker(torch.arange(15, dtype=torch.float64) * DT, f0=30)
W, D = Convolve1D(NT, wavelet, offset=center), FirstDerivative(NT, kind="forward")
P = SPREAD * CausalIntegration(NT)  # a random walk: steps of this standard deviation
start = torch.full((NT,), 6.0e6, dtype=torch.float64).log()
tops = torch.rand(NT) < 0.25
steps = torch.where(tops, 0.12 * torch.randn(NT), 0.0).double()
truth = start + steps.cumsum(0)


def trace(m: Tensor) -> Tensor:
    return W(torch.tanh(0.5 * D(m)))


d = trace(truth) + NOISE * torch.randn(NT, dtype=torch.float64)

# %%
# The cost of ``p``, with ``m = start + P p``, whose prior is that of independent numbers. The Hessian of the prior is
# then the identity.


def cost(p: Tensor, d: Tensor, prior: Tensor) -> Tensor:
    return 0.5 * ((trace(start + P(p)) - d) / NOISE).square().sum() + 0.5 * (p - prior).square().sum()


def minimum(d: Tensor, prior: Tensor, niter: int = 6) -> Tensor:
    """Return the minimum by Newton's method, for one trace."""
    p = torch.zeros_like(prior)
    for _ in range(niter):
        hessian, gradient = torch.func.hessian(cost)(p, d, prior), torch.func.grad(cost)(p, d, prior)
        p = p - torch.linalg.solve(hessian, gradient)
    return p


zero = torch.zeros(NT, dtype=torch.float64)
best = minimum(d, zero)
estimate = start + P(best)
hessian = torch.func.hessian(cost)(best, d, zero)
covariance = P(P(hessian.inverse()).T).T
deviation = covariance.diagonal().sqrt()
gradient = float(torch.func.grad(cost)(best, d, zero).norm())
start_gradient = float(torch.func.grad(cost)(zero, d, zero).norm())
print(f"gradient at the minimum {gradient:.0e}, at the start {start_gradient:.0f}")
assert gradient < 1e-8 * start_gradient

# %%
# The same method on 300 perturbed data and priors, by one call.

noisy = d + NOISE * torch.randn(300, NT, dtype=torch.float64)
priors = torch.randn(300, NT, dtype=torch.float64)
ensemble = start + P(torch.func.vmap(minimum)(noisy, priors))
spread = ensemble.std(0)
ratio = spread / deviation
print(f"standard deviations, ensemble / Hessian: {float(ratio.min()):.2f} to {float(ratio.max()):.2f}")
assert float((ratio - 1).abs().max()) < 0.15  # 300 samples have a standard error of 4 %


# %%
# Products with the Hessian, as an operator.


class Hessian(LinearOperator):
    """The Hessian of the misfit at the estimate, matrix-free."""

    def _forward(self, v: Tensor) -> Tensor:
        flat = v.reshape(-1, NT)

        def product(v: Tensor) -> Tensor:
            return torch.func.jvp(lambda p: torch.func.grad(cost)(p, d, zero), (best,), (v,))[1] - v

        return torch.func.vmap(product)(flat).reshape(v.shape)

    _adjoint = _forward


values, vectors = linalg.eigh(Hessian(NT), k=12, method="iterative")
exact = torch.linalg.eigvalsh(hessian) - 1
print(f"leading eigenvalues: {values.flip(0)[:3].tolist()}, by the matrix {exact.flip(0)[:3].tolist()}")
print(f"{int((exact > 1).sum())} of {NT} directions are determined by the trace rather than the prior")
assert float((values - exact[-12:]).abs().max()) < 1e-8 * float(exact.max())

# %%
# The trace determines the steps at the tops of layers, within the band of its frequencies, but not the slow trend: the
# uncertainty of the log grows with time as that of the prior does.

prior_deviation = SPREAD * torch.arange(1, NT + 1).double().sqrt()
step_deviation = D(D(covariance).T).diagonal()[:-1].clamp_min(0).sqrt()
print(f"standard deviation of a step: {float(step_deviation.mean()):.4f}, by the prior {SPREAD}")
assert float(step_deviation.max()) < SPREAD
within = float(((truth - estimate).abs() < 1.96 * deviation).double().mean())
print(f"true log within 1.96 standard deviations: {100 * within:.0f} % of the samples")
assert within > 0.9

figure, axes = plt.subplots(1, 4, figsize=(11.5, 5), layout="constrained")
t = DT * torch.arange(NT)
plot.wiggle(torch.stack([d, trace(estimate)]), axes[0], t=t, title="trace", xlabel="", ylabel="time / s")
axes[0].set_xticks([0, 1], ["data", "modelled"])
for sample, label in zip(ensemble[:30], ("ensemble", *29 * [None]), strict=True):
    axes[1].plot(sample - start, t, color="C0", alpha=0.15, label=label)
for sign, labels in ((-1, ("95 % by the prior", "95 % by the Hessian")), (1, (None, None))):
    axes[1].plot(sign * 1.96 * prior_deviation, t, "0.6", label=labels[0])
    axes[1].plot(estimate - start + sign * 1.96 * deviation, t, "C3--", label=labels[1])
axes[1].plot(truth - start, t, "k", label="true")
axes[1].set(title="logarithm of the impedance", xlabel="log(Z / 6·10⁶ kg m⁻² s⁻¹)")
axes[2].plot(D(truth), t, "k", label="true")
axes[2].plot(D(estimate), t, "C3", label="estimated")
low, high = (D(estimate)[:-1] + sign * 1.96 * step_deviation for sign in (-1, 1))
axes[2].fill_betweenx(t[:-1], low, high, color="C3", alpha=0.3, label="95 % by the Hessian", linewidth=0)
axes[2].set(title="its steps", xlabel="change per sample")
for axis in axes[1:3]:
    axis.set_ylim(NT * DT, 0)
    axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.15))
axes[3].semilogy(range(1, NT + 1), exact.flip(0).clamp_min(1e-6), "0.6", label="by the matrix")
axes[3].semilogy(range(1, 13), values.flip(0), "C3o", label="matrix-free")
axes[3].axhline(1, color="k", linestyle=":", label="as certain as the prior")
axes[3].set(title="Hessian of the misfit", xlabel="number", ylabel="eigenvalue", ylim=(1e-3, None))
axes[3].legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.15))
