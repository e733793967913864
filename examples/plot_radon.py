r"""
Curvatures of multiples, learned through a Radon transform
==========================================================

Which curvatures do the multiples in a survey have, so that they can be separated from the primaries? Eight synthetic
gathers after normal-moveout correction, with flat primaries and two families of parabolic multiples, are the data.

The curvatures are known only to within 30 %, and a Radon transform with these guesses cannot explain the gathers. Here,
the axis ``pxaxis`` of ``Radon2D`` is a parameter: gradient descent refines the curvatures :math:`p` together with the
Radon panels :math:`m` of all eight gathers, which pass through the operator as a batch,

.. math:: \min_{p,\, m} \|R(p)\, m - d\|^2 + \lambda \|m\|_1.

The part modelled by the flat curve is then free of multiples. (In PyLops, the curves are fixed when the operator is
built, and gathers are processed one at a time.)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm import tqdm

from torchlops import plot
from torchlops.signalprocessing import Radon2D
from torchlops.utils import seismicevents
from torchlops.utils.wavelets import ricker

DT, NT, STEPS = 0.004, 150, 250
OFFSETS = np.arange(40) * 25.0  # distances from the source in m


# %%
# Eight gathers, each with its own times and amplitudes, and noise of a tenth of their standard deviation.

generator = np.random.default_rng(0)
t = np.arange(NT) * DT
wavelet = ricker(t[:11], f0=25)[0]
moveouts = np.array([0.0, 0.05, 0.12])  # in s at the largest offset
curvatures = moveouts / OFFSETS[-1] ** 2

families = []
for curvature, number in zip(curvatures, (4, 3, 3), strict=True):
    gathers = []
    for _ in range(8):  # each gather has its own times and amplitudes
        t0, amp = generator.uniform(0.06, 0.45, number), generator.uniform(0.5, 1, number)
        amp *= generator.choice([-1, 1], number)
        zero = np.zeros(number)
        gathers.append(seismicevents.parabolic2d(OFFSETS, t, t0, zero, zero + curvature, amp, np.asarray(wavelet))[1])
    families.append(torch.from_numpy(np.stack(gathers)))
primaries = families[0]
clean = sum(families)
data = clean + 0.1 * clean.std() * torch.from_numpy(generator.standard_normal(clean.shape))

# %%
# The panels and the curvatures are learned together, by Adam.

dh = OFFSETS[1] - OFFSETS[0]  # a parabolic axis is in s / m^2, times this step
guess = torch.tensor([0.004, 0.035, 0.156], dtype=torch.float64)  # moveouts in s
learned = guess.clone().requires_grad_()
panels = torch.zeros(8, 3, NT, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([{"params": [panels], "lr": 0.05}, {"params": [learned], "lr": 0.002}])


def radon(moveout: torch.Tensor) -> Radon2D:
    return Radon2D(t, OFFSETS, moveout / OFFSETS[-1] ** 2 * dh, kind="parabolic", centeredh=False)


history = []
for _ in tqdm(range(STEPS), desc="learning", disable=None):
    history.append(1000 * learned.detach().clone())
    optimizer.zero_grad()
    loss = (radon(learned)(panels) - data).square().mean() / data.var() + 1e-3 * panels.abs().mean()
    loss.backward()
    optimizer.step()

# %%
# With fixed curvatures, the panels are a least-squares problem. The primaries are what the flat curve models.


def separate(moveout: torch.Tensor) -> tuple[torch.Tensor, float, float]:
    """Return the least-squares estimate of the primaries for these curves, its error, and the misfit."""
    R = radon(moveout)
    m, r = torch.zeros_like(panels), R.H(data)
    p, rr = r, r.square().sum((-2, -1), keepdim=True)
    for _ in range(40):  # conjugate gradients, all gathers at once
        q = R.H(R(p)) + 0.5 * p
        step = rr / (p * q).sum((-2, -1), keepdim=True)
        m, r = m + step * p, r - step * q
        rr, before = r.square().sum((-2, -1), keepdim=True), rr
        p = r + rr / before * p
    alone = R(m * torch.tensor([1.0, 0.0, 0.0])[:, None])
    return alone, float((alone - primaries).norm() / primaries.norm()), float((R(m) - data).norm() / data.norm())


with torch.no_grad():
    before, after = separate(guess), separate(learned)
print(f"moveouts / ms: true {1000 * moveouts}, guessed {1000 * guess.numpy()}, learned {history[-1].numpy().round(2)}")
print(f"misfit {before[2]:.3f} -> {after[2]:.3f} (noise 0.1)")
print(f"error of the primaries {before[1]:.3f} -> {after[1]:.3f}")
assert np.abs(history[-1].numpy() - 1000 * moveouts).max() < 2
assert after[1] < 0.5 * before[1]

# %%
# Learned curves leave no multiples in the primaries.

figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 8), layout="constrained")
axes = list(panels.values())
titles = (
    "one of eight gathers",
    "its primaries",
    f"found with the guesses\nerror {before[1]:.2f}",
    f"found with learned curves\nerror {after[1]:.2f}",
)
limit = float(data[0].abs().max())
for axis, gather, title in zip(axes, (data, primaries, before[0], after[0]), titles, strict=False):
    plot.image(gather[0].T, axis, x=OFFSETS, y=t, symmetric=True, colorbar=False, vmin=-limit, vmax=limit,
               title=title, xlabel="offset / m", ylabel="time / s")  # fmt: skip
for k, colour in enumerate(("C0", "C1", "C2")):
    axes[4].plot([h[k] for h in history], colour)
    axes[4].axhline(1000 * moveouts[k], color=colour, linestyle="--")
axes[4].set(title="moveouts: learned, and true (dashed)", xlabel="step of Adam", ylabel="moveout at 975 m / ms")
