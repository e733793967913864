r"""
Inversion of wide angles with exact reflection coefficients
===========================================================

Up to which angle may reflection coefficients be linearised? For 300 interfaces between layers of sand, shale and
limestone, contrasts of velocities and density are estimated from noisy PP coefficients of the exact equations of
Zoeppritz: by the linearisation of Aki and Richards, and by Gauss-Newton iterations with the exact coefficients.

The contrasts are :math:`\Delta \ln V_P`, :math:`\Delta \ln V_S` and :math:`\Delta \ln \rho`; the upper layer is known.
Wider angles carry more information about :math:`V_S` and the density. They also leave the range of the linearisation,
which holds for small contrasts far from critical angles: its error is a bias that no amount of data removes.

Both solve the same damped least squares, :math:`\min_c \|R(c) - d\|^2 / \sigma^2 + \|c\|^2 / s^2`, with the prior
deviation :math:`s` of contrasts. ``zoeppritz_pp`` solves for all interfaces and angles at once; its Jacobian, one
:math:`n_\theta \times 3` matrix per interface, is that of ``jacfwd`` under ``vmap``.
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from torchlops.avo import AVOLinearModelling
from torchlops.avo.avo import zoeppritz_pp

COUNT, NOISE, STEPS = 300, 0.002, 8
"""Interfaces, deviation of the noise of a coefficient, Gauss-Newton iterations."""

WIDEST = torch.arange(15.0, 46.0, 5.0, dtype=torch.float64)
"""Widest angles of the data in degrees. From 0 on, there is one coefficient per degree."""

NAMES = (r"$V_P$", r"$V_S$", r"$\rho$")

# %%
# Pairs of layers from ranges of sand, shale and limestone (Castagna's relation and Gardner's, with scatter), such that
# no critical angle is below 46 degrees.
torch.manual_seed(0)


def layers(count: int) -> Tensor:
    """Return the logarithms of velocities in m/s and density in kg/m^3, ``(count, 3)``."""
    vp = 2200 + 2600 * torch.rand(count, dtype=torch.float64)
    vs = (0.8621 * vp - 1172) * (1 + 0.1 * torch.randn_like(vp))
    rho = 310 * vp**0.25 * (1 + 0.03 * torch.randn_like(vp))
    return torch.stack((vp, vs, rho), -1).log()


upper, lower = layers(20 * COUNT), layers(20 * COUNT)
allowed = (lower - upper)[:, 0].abs() < 0.32
upper, true = upper[allowed][:COUNT], (lower - upper)[allowed][:COUNT]
deviation = true.std(0)
print(f"{COUNT} interfaces, deviation of contrasts {', '.join(f'{s:.2f}' for s in deviation)}")


# %%
# The exact coefficients of one interface, and one step of Gauss-Newton for all of them: the Jacobians are ``(COUNT,
# n_theta, 3)``, and the normal equations 3 by 3.


def coefficients(contrast: Tensor, upper: Tensor, theta: Tensor) -> Tensor:
    """Return PP coefficients ``(n_theta,)`` below the critical angle, where they are real."""
    media = torch.cat((upper, upper + contrast)).exp()
    return zoeppritz_pp(*media, theta).real


def solve(J: Tensor, residual: Tensor, contrast: Tensor) -> Tensor:
    """Return the solution of the damped least squares whose misfit is linearised at ``contrast``."""
    normal = J.mT @ J / NOISE**2 + torch.diag(deviation**-2)
    data = residual + (J @ contrast[..., None]).squeeze(-1)
    return torch.linalg.solve(normal, (J.mT @ data[..., None]) / NOISE**2).squeeze(-1)


def exact_inversion(d: Tensor, theta: Tensor) -> Tensor:
    """Return the contrasts by Gauss-Newton, from no contrast on."""
    model = vmap(coefficients, (0, 0, None))
    jacobian = vmap(jacfwd(coefficients), (0, 0, None))
    contrast = torch.zeros_like(true)
    for _ in range(STEPS):
        new = solve(jacobian(contrast, upper, theta), d - model(contrast, upper, theta), contrast)
        change = new - contrast
        contrast = contrast + change * (0.2 / change.abs().amax(-1, keepdim=True)).clamp(max=1.0)  # a trust region
        contrast = torch.cat((contrast[:, :1].clamp(-0.33, 0.33), contrast[:, 1:]), -1)  # below the critical angle
    return contrast


def linear_inversion(d: Tensor, theta: Tensor) -> Tensor:
    """Return the contrasts by the linearisation with the velocity ratio of the upper layer."""
    ratio = (upper[:, 1] - upper[:, 0]).exp()
    A = AVOLinearModelling(theta, ratio)  # the interfaces are the samples in time
    J = A.G.movedim(1, -1)
    return solve(J, d, torch.zeros_like(true))


# %%
# Both, for data up to each of the widest angles. The errors are those of the contrasts, relative to their deviations.
noise = NOISE * torch.randn(COUNT, 46, dtype=torch.float64)
errors: dict[str, list[Tensor]] = {"linearised": [], "exact": []}
estimates: dict[str, Tensor] = {}
for widest in WIDEST:
    theta = torch.arange(0.0, float(widest) + 0.5, dtype=torch.float64)
    d = vmap(coefficients, (0, 0, None))(true, upper, theta) + noise[:, : len(theta)]
    estimates = {"linearised": linear_inversion(d, theta), "exact": exact_inversion(d, theta)}
    for name, found in estimates.items():
        errors[name].append((found - true).square().mean(0).sqrt() / deviation)
    shown = "   ".join(f"{name}: " + " ".join(f"{e:.3f}" for e in errors[name][-1]) for name in errors)
    print(f"up to {widest:2.0f} degrees, errors of Vp, Vs and density   {shown}")
linear, exact = (torch.stack(errors[name]) for name in ("linearised", "exact"))
assert (exact[-1] < 0.2 * linear[-1]).all()
assert (exact[-1] < exact[0]).all()  # more angles, more information
assert (linear[-1] > linear.amin(0))[:2].all()  # beyond some angle, more bias

# %%
# The coefficients of one interface, and the errors. Where the linearisation leaves the exact curve, wider angles make
# its contrasts worse.
strong = int((true[:, 0] - 0.25).abs().argmin())
theta = torch.arange(0.0, 66.0, 0.5, dtype=torch.float64)
media = torch.cat((upper[strong], upper[strong] + true[strong])).exp()
curve = zoeppritz_pp(*media, theta)
critical = float(torch.rad2deg(torch.arcsin(torch.exp(-true[strong, 0]))))
A = AVOLinearModelling(theta, float((upper[strong, 1] - upper[strong, 0]).exp()))
line = A(true[strong][None])[0]
narrow = theta <= 20
assert (line - curve.real)[narrow].abs().max() < 0.25 * (line - curve.real)[theta < critical].abs().max()

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
left.plot(theta, curve.abs(), "k", label="exact, modulus")
left.plot(theta, curve.real, "k--", label="exact, real part")
left.plot(theta, line, "C3", label="linearised")
left.axvline(critical, color="0.7", lw=1, label="critical angle")
left.set(title="PP coefficient of one interface", xlabel="angle (degrees)", ylabel="coefficient", ylim=(-0.3, 1.1))
left.legend()
for i, name in enumerate(NAMES):
    middle.semilogy(WIDEST, linear[:, i], f"C{i}--", label=f"{name}, linearised")
    middle.semilogy(WIDEST, exact[:, i], f"C{i}", label=f"{name}, exact")
middle.set(
    title="Error, relative to the deviation", xlabel="widest angle (degrees)", ylabel="rms error", ylim=(0.012, 4)
)
middle.legend(fontsize="small", loc="lower left", ncols=2)
right.plot(true[:, 1], estimates["linearised"][:, 1], "C3.", ms=3, label="linearised")
right.plot(true[:, 1], estimates["exact"][:, 1], "k.", ms=3, label="exact")
right.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
right.set(title=f"{NAMES[1]}, angles up to {WIDEST[-1]:.0f} degrees", xlabel="true contrast", ylabel="estimate")
right.legend()
plt.show()
