"""
Full-waveform inversion
=======================

How much of a velocity model do seismic waves tell, and which method finds it at less cost, Gauss and Newton's or
L-BFGS? The data are those of six explosions near the surface of a synthetic section, 2.4 km wide, of layers with a
salt body, recorded along the surface and in two wells. Both methods start from a smooth model and go from low
frequencies to high ones. They are given the same number of solutions of the wave equation.
"""

# %%
# The model and the survey
# ------------------------
# :class:`~torchlops.waveeqprocessing.AcousticModelling` gives the data as a differentiable function of the velocity.
# All shots are computed together.

import matplotlib.pyplot as plt
import torch

import torchlops
from torchlops.waveeqprocessing import AcousticBorn, AcousticModelling

nz, nx, h, dt, nt = 40, 80, 30.0, 0.0035, 320
z, x = torch.meshgrid(torch.arange(nz) * h, torch.arange(nx) * h, indexing="ij")
true = torch.full((nz, nx), 1800.0)
for depth, velocity in ((250.0, 2000.0), (450.0, 2250.0), (700.0, 2500.0), (950.0, 2800.0)):
    true[z > depth + 40 * torch.sin(x / 350) + 0.03 * x] = velocity
salt = ((x - 1250) / 420) ** 2 + ((z - 620) / 150) ** 2 < 1
true[salt] = 3300.0
start = 1800 + 0.85 * z.clamp(min=100) - 85
is_free = z > 75  # the velocity around the sources is known

sources = torch.stack((torch.full((6,), 1), torch.linspace(4, nx - 5, 6).round().long()), -1)
surface = [(1, i) for i in range(2, nx - 2, 2)]
wells = [(i, j) for i in range(3, nz, 2) for j in (2, nx - 3)]
receivers = torch.tensor(surface + wells)


def survey(frequency):
    """Return the modelling, the wavelet and the observed data for a peak frequency."""
    modelling = AcousticModelling(
        (nz, nx), h, dt, nt, sources, receivers, max_velocity=3600.0, frequency=frequency, pml_width=8
    )
    wavelet = modelling.ricker()
    return modelling, wavelet, modelling(true, wavelet)


def model_error(velocity):
    """Return the root mean square error of a model in m/s."""
    return float((velocity - true)[is_free].square().mean().sqrt())


# %%
# Gauss-Newton
# ------------
# The Jacobian of the data is the Born operator. Updates are :math:`\delta v = S p`, where :math:`S` smooths and keeps
# the velocity around the sources, and four iterations of CGLS minimise :math:`\|J S p - r\|^2 + \epsilon^2 \|p\|^2`.
# The cost is counted in solutions of the wave equation: one for the data, two for a product with :math:`J` (the
# wavefield and its perturbation), three for one with :math:`J^H` (the wavefield twice, because of the checkpoints, and
# the adjoint).

modelling, wavelet, _ = survey(4.0)
illumination = AcousticBorn(modelling, start, wavelet).illumination()
weight = (illumination / illumination[is_free].median() + 0.05).rsqrt()
smooth = torchlops.Smoothing2D((3, 5), (nz, nx), dtype="float32")
S = torchlops.Diagonal(is_free.float(), dims=(nz, nx)) @ smooth @ torchlops.Diagonal(weight, dims=(nz, nx))
FREQUENCIES, ITERATIONS, INNER = (4.0, 7.0), (2, 2), 4


def gauss_newton(velocity):
    """Return the model, and the cost and the misfit at each update."""
    cost, history = 0, []
    for frequency, iterations in zip(FREQUENCIES, ITERATIONS, strict=True):
        modelling, wavelet, observed = survey(frequency)
        for _ in range(iterations):
            residual = observed - modelling(velocity, wavelet)
            history.append((cost, float(residual.square().sum() / observed.square().sum()), model_error(velocity)))
            J = AcousticBorn(modelling, velocity, wavelet, dtype="float32") @ S
            damp = 0.005 * float(residual.norm()) / 100.0  # of an update of about 100 m/s
            p = torchlops.optimization.cgls(J, residual, niter=INNER, damp=damp, tol=0)[0]
            update = S(p)
            trials = [velocity + length * update for length in (1.0, 0.5)]
            misfits = [(observed - modelling(v.clamp(1500, 3600), wavelet)).square().sum() for v in trials]
            velocity = trials[int(torch.stack(misfits).argmin())].clamp(1500, 3600)
            cost += 1 + 5 * INNER + 3 + 2
    residual = observed - modelling(velocity, wavelet)
    history.append((cost, float(residual.square().sum() / observed.square().sum()), model_error(velocity)))
    return velocity, history


# %%
# L-BFGS
# ------
# The gradient is that of the adjoint state, by ``backward``: three solutions.


def quasi_newton(velocity, budgets):
    """Return the same, by L-BFGS with a strong Wolfe search, in the same parameters and with the same cost."""
    cost, history = 0, []
    for frequency, budget in zip(FREQUENCIES, budgets, strict=True):
        modelling, wavelet, observed = survey(frequency)
        p = torch.zeros(nz, nx, requires_grad=True)
        scale = float(observed.square().sum())
        spent = 0

        def closure(p=p, base=velocity, modelling=modelling, wavelet=wavelet, observed=observed, scale=scale):
            nonlocal cost, spent
            if p.grad is not None:
                p.grad = None
            v = (base + 100 * S(p)).clamp(1500, 3600)
            loss = (observed - modelling(v, wavelet)).square().sum() / scale
            loss.backward()
            history.append((cost, float(loss.detach()), model_error(v.detach())))
            cost, spent = cost + 3, spent + 3
            return loss

        search = torch.optim.LBFGS([p], lr=1, max_iter=1, max_eval=4, history_size=10, line_search_fn="strong_wolfe")
        while spent < budget:
            search.step(closure)
        velocity = (velocity + 100 * S(p.detach())).clamp(1500, 3600)
    return velocity, history


by_gauss, gauss_history = gauss_newton(start)
by_lbfgs, lbfgs_history = quasi_newton(start, [n * (1 + 5 * INNER + 3 + 2) for n in ITERATIONS])
for title, history in (("Gauss-Newton", gauss_history), ("L-BFGS", lbfgs_history)):
    cost, misfit, error = history[-1]
    print(f"{title}: {cost} solutions, relative misfit {misfit:.2g}, error of the model {error:.0f} m/s")
print(f"start: error {model_error(start):.0f} m/s")

# %%
# The models
# ----------

extent = (0, nx * h / 1000, nz * h / 1000, 0)
fig, axes = plt.subplots(2, 2, figsize=(11, 6), sharex=True, sharey=True, layout="constrained")
pictures = {"true": true, "start": start, "Gauss-Newton": by_gauss, "L-BFGS": by_lbfgs}
for ax, (title, velocity) in zip(axes.flat, pictures.items(), strict=True):
    image = ax.imshow(velocity, extent=extent, vmin=1700, vmax=3300, cmap="viridis", aspect="auto")
    ax.set_title(title if title == "true" else f"{title}, error {model_error(velocity):.0f} m/s")
axes[0, 0].plot(receivers[:, 1] * h / 1000, receivers[:, 0] * h / 1000, "w.", markersize=3)
axes[0, 0].plot(sources[:, 1] * h / 1000, sources[:, 0] * h / 1000, "r*", markersize=9)
for ax in axes[1]:
    ax.set_xlabel("x (km)")
for ax in axes[:, 0]:
    ax.set_ylabel("depth (km)")
fig.colorbar(image, ax=axes, label="velocity (m/s)")

# %%
# Misfit and error of the model
# -----------------------------
# The misfit rises where the frequency does, since the data are others then. At equal cost the methods are on a par
# here: what an update of Gauss and Newton's gains over one of L-BFGS is what it costs more.

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
for title, history in (("Gauss-Newton", gauss_history), ("L-BFGS", lbfgs_history)):
    costs, misfits, errors = zip(*history, strict=True)
    left.semilogy(costs, misfits, ".-", label=title)
    right.plot(costs, errors, ".-", label=title)
left.set(title="Misfit", xlabel="solutions of the wave equation", ylabel="relative to the data")
right.set(title="Error of the model", xlabel="solutions of the wave equation", ylabel="root mean square (m/s)")
left.legend()

for history in (gauss_history, lbfgs_history):
    assert history[-1][2] < 0.75 * model_error(start)
assert abs(gauss_history[-1][2] - lbfgs_history[-1][2]) < 0.1 * lbfgs_history[-1][2]
