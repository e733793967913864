r"""
A preconditioner, learned through the iterations that it accelerates
====================================================================

Which preconditioner makes edge-preserving smoothing fastest? It is learned on eight photographs of scikit-image, and
accelerates the solves for three others, with twice as many rows and columns.

Edge-preserving smoothing of a photograph :math:`y` solves

.. math:: (I + G^H \mathrm{diag}(c)\, G)\, x = y,

with the gradient :math:`G` and a conductivity :math:`c` that is small at edges. Each photograph has its own equation,
and conjugate gradients need many iterations. The preconditioner :math:`M = C^H \mathrm{diag}(m)\, C`, with the cosine
transform :math:`C`, has a spectrum :math:`m` that is interpolated between twelve learned numbers. Starting from
:math:`M = I`, they minimise the residual after twelve iterations, by gradients through these iterations
(``grad="unroll"``). (The solution itself does not depend on :math:`M`, so its implicit derivative is zero.)

On the unseen photographs, the number of iterations falls to a third or less. That is as few as with the spectrum of the
mean conductivity, which theory suggests for this equation.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad
from tqdm import tqdm

from torchlops import Diagonal, Gradient, Identity, LinearOperator, plot
from torchlops.demo.photographs import central_crop, photograph
from torchlops.optimization import cg
from torchlops.signalprocessing import DCT

TRAINING = ("astronaut", "chelsea", "motorcycle_left", "brick", "text", "gravel", "rocket", "grass")
UNSEEN = ("camera", "coffee", "coins")
SMOOTHING, EDGE = 100.0, 0.05
"""Maximum conductivity, and the step of grey values at which it has decreased by half."""

NITER, KNOTS, RTOL, STEPS = 12, 12, 1e-4, 40


# %%
# An equation for each photograph: an operator of one's own, whose weights are different for each sample.


class Weights(LinearOperator):
    """Multiplication by weights of shape ``(*batch, *dims)``, different for each sample."""

    def __init__(self, weights: Tensor, dims: tuple[int, ...]) -> None:
        super().__init__(dims, dtype=weights.dtype)
        self._register("weights", weights)
        self.weights: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return x * self.weights

    _adjoint = _forward


def crops(names: Sequence[str], size: int) -> Tensor:
    small = [avg_pool2d(photograph(name)[None], 2)[0] for name in names]
    return torch.stack([central_crop(image, (size, size)) for image in small])


def conductivity(y: Tensor) -> Tensor:
    """Return the conductivities between neighbouring pixels of photographs, ``(batch, 2, size, size)``."""
    G = Gradient(tuple(y.shape[-2:]), kind="forward", dtype="float32")
    c = SMOOTHING / (1 + (G(y) / EDGE).square())
    c[:, 0, -1], c[:, 1, :, -1] = 0, 0  # no flow through the boundary
    return c


def smoothing(c: Tensor) -> LinearOperator:
    """Return ``I + G^H diag(c) G``."""
    dims = tuple(c.shape[-2:])
    G = Gradient(dims, kind="forward", dtype="float32")
    N: LinearOperator = Identity(dims, dtype="float32") + G.H @ Weights(c, (2, *dims)) @ G
    return N


# %%
# Preconditioners: the diagonal, and those that cosine transforms make diagonal.


def jacobi(c: Tensor) -> LinearOperator:
    """Return the inverse of the diagonal of the smoothing operator."""
    diagonal = 1 + c.sum(1) + pad(c[:, 0], (0, 0, 1, -1)) + pad(c[:, 1], (1, -1))
    return Weights(1 / diagonal, tuple(c.shape[-2:]))


def eigenvalues(size: int) -> Tensor:
    """Return the eigenvalues of ``G^H G``, whose eigenvectors are cosines. They are at most 8."""
    one = 4 * (torch.pi * torch.arange(size) / (2 * size)).sin().square()
    return one[:, None] + one


def of_spectrum(m: Tensor) -> LinearOperator:
    """Return ``C^H diag(m) C``."""
    C = DCT(tuple(m.shape), dtype="float32")
    M: LinearOperator = C.H @ Diagonal(m) @ C
    return M


def spectrum(log_m: Tensor, size: int) -> Tensor:
    """Interpolate the logarithm of a spectrum from ``KNOTS`` frequencies, the square roots of the eigenvalues."""
    at = (eigenvalues(size) / 8).sqrt() * (KNOTS - 1)
    left = at.floor().long().clamp(max=KNOTS - 2)
    return torch.lerp(log_m[left], log_m[left + 1], at - left).exp()


# %%
# Learning, by gradients through twelve iterations of a batch of equations.


def learn(y: Tensor, steps: int) -> tuple[Tensor, list[float]]:
    """Return the logarithm of the learned spectrum, and the mean residual of each step."""
    N = smoothing(conductivity(y))
    log_m = torch.zeros(KNOTS, requires_grad=True)
    optimizer = torch.optim.Adam([log_m], lr=0.15)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    residuals = []
    for _ in tqdm(range(steps), desc="learning", disable=None):
        M = of_spectrum(spectrum(log_m, y.shape[-1]))
        cost = cg(N, y, M=M, niter=NITER, tol=0, grad="unroll").cost
        loss = (cost[-1] / cost[0]).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        residuals.append(loss.exp().item())
    return log_m.detach(), residuals


# %%
# The learned spectrum against other preconditioners, on photographs that were not used.

torch.manual_seed(0)
y, unseen = crops(TRAINING, 64), crops(UNSEEN, 128)
log_m, residuals = learn(y, STEPS)
mean = conductivity(y).mean()

c, size = conductivity(unseen), unseen.shape[-1]
N = smoothing(c)
preconditioners = {
    "none": None,
    "diagonal": jacobi(c),
    "learned": of_spectrum(spectrum(log_m, size)),
    "mean conductivity": of_spectrum(1 / (1 + mean * eigenvalues(size))),
}
results = {name: cg(N, unseen, M=M, niter=1000, tol=0, rtol=RTOL) for name, M in preconditioners.items()}
counts = {name: result.iters.double().mean().item() for name, result in results.items()}
print(f"residual after {NITER} iterations, training photographs: {residuals[0]:.1e} -> {residuals[-1]:.1e}")
print(f"iterations to a residual of {RTOL:g}, unseen photographs:", end=" ")
print(", ".join(f"{name} {count:.0f}" for name, count in counts.items()))

for result in results.values():
    assert bool(result.converged.all())
    assert (result.x - results["none"].x).norm() < 1e-2 * results["none"].x.norm()
assert counts["learned"] < counts["none"] / 3
assert counts["learned"] < 0.5 * counts["diagonal"]
assert counts["learned"] < 1.1 * counts["mean conductivity"]

# %%
# The learned spectrum is close to that of the mean conductivity.

figure, panels = plt.subplot_mosaic("aabbcc;.ddee.", figsize=(11, 7), layout="constrained")
axes = list(panels.values())
colors = dict(zip(preconditioners, ("0.6", "C1", "C3", "k"), strict=True))
for name, result in results.items():
    style = {"color": colors[name], "linestyle": ":" if name == "mean conductivity" else "-"}
    plot.convergence(result, axes[0], label=f"{name}: {counts[name]:.0f}", **style)
axes[0].set(title="unseen photographs", ylabel="relative residual")
axes[0].legend(title="preconditioner", fontsize="small")
axes[1].semilogy(residuals, "C3")
axes[1].set(title="training photographs", xlabel="step", ylabel=f"residual after {NITER} iterations")
frequency = torch.linspace(0, 1, KNOTS)
theory = 1 / (1 + mean * 8 * frequency.square())
axes[2].semilogy(frequency, (log_m - log_m[-1]).exp(), "C3o-", label="learned")
axes[2].semilogy(frequency, theory / theory[-1], "k:", label="mean conductivity")
axes[2].axhline(1, color="0.6", label="first")
axes[2].set(title="spectrum, relative to its end", xlabel="root of the eigenvalue of G^H G / 8")
axes[2].legend(fontsize="small")
for axis, image, title in (
    (axes[3], unseen[0], "an unseen photograph"),
    (axes[4], results["learned"].x[0], "smoothed"),
):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
