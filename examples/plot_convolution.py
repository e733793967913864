r"""
The blur of a lens, learned from one pair of photographs
========================================================

Which blur does a defocused lens have, and can it sharpen other photographs? Its 225 values are learned from a
photograph of scikit-image and a noisy image of it through the lens.

The filter :math:`h` of ``Convolve2D`` is a parameter, and the data are linear in it, too:

.. math:: \min_h \|A(h)\,x - y\|^2.

With the learned filter, the same operator deblurs an unseen photograph nearly as well as with the true filter, and
several decibels better than with a Gaussian as a guess. (PyLops has no gradient with respect to the filter.)
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import LinearOperator, Pad
from torchlops.demo.deblurring import inside, quality, tikhonov
from torchlops.demo.photographs import central_crop, defocus_psf, photograph
from torchlops.signalprocessing import Convolve2D

NOISE = 0.005

# %%
# The lens: a convolution, and a crop to the pixels that receive no light from outside of the photograph, the adjoint of
# padding.


def blur(dims: tuple[int, ...], h: Tensor) -> LinearOperator:
    """Return the operator from a photograph with ``dims`` pixels to its image through the lens."""
    half = h.shape[0] // 2
    frame = Pad([n - 2 * half for n in dims], ((half, half), (half, half)))
    return frame.H @ Convolve2D(dims, h, offset=(half, half))


# %%
# Gradient descent through the operator: L-BFGS, one iteration at a time.


def learn(sharp: Tensor, blurred: Tensor, size: int, niter: int = 60) -> tuple[Tensor, list[float]]:
    """Return the filter that maps ``sharp`` to ``blurred``, and the misfit of each iteration."""
    h = torch.nn.Parameter(torch.full((size, size), 1 / size**2))
    A = blur(sharp.shape, h)
    optimizer = torch.optim.LBFGS(
        [h],
        max_iter=1,
        max_eval=25,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    misfits = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        misfit = (A(sharp) - blurred).square().mean()
        misfit.backward()  # A is also linear in its filter
        return misfit

    for _ in tqdm(range(niter), desc="learning the filter", disable=None):
        misfits.append(float(optimizer.step(closure).detach()) ** 0.5)
    return h.detach(), misfits


# %%
# A pair of photographs, one of them out of focus by 170 µm, and what is learned from it.

torch.manual_seed(0)
truth = defocus_psf(defocus=170.0)
size = truth.shape[0]

sharp = central_crop(photograph("astronaut"), (160, 160))
blurred = blur((160, 160), truth)(sharp)
blurred = blurred + NOISE * torch.randn_like(blurred)
learned, misfits = learn(sharp, blurred, size)

error = float((learned - truth).norm() / truth.norm())
print(f"learned filter: relative error {100 * error:.1f} %, final misfit {misfits[-1] / NOISE:.2f} x noise")
assert error < 0.15

# %%
# Another photograph through the same lens, restored by Tikhonov regularisation with three filters.

radius = (torch.arange(size) - size // 2).square()
variance = (truth.sum(0) * radius).sum()  # a Gaussian as wide as the true filter
gaussian = torch.exp(-(radius[:, None] + radius) / (2 * variance))
filters = {"true filter": truth, "learned filter": learned, "Gaussian of its width": gaussian / gaussian.sum()}

unseen = photograph("camera")[20:212, 130:322]
data = blur((192, 192), truth)(unseen)
data = data + NOISE * torch.randn_like(data)
restored = {name: tikhonov(blur((192, 192), h), data, 5e-4) for name, h in filters.items()}
scores = {name: quality(inside(x, truth), inside(unseen, truth))[0] for name, x in restored.items()}

print("deblurring of an unseen photograph: " + ", ".join(f"{name} {s:.2f} dB" for name, s in scores.items()))
assert scores["learned filter"] > scores["true filter"] - 0.5
assert scores["learned filter"] > scores["Gaussian of its width"] + 1


# %%
# The learned filter has the rings of the true one.

figure, axes = plt.subplots(2, 4, figsize=(11.5, 6), layout="constrained")
top = float(filters["true filter"].max())
for axis, (name, h) in zip(axes[0, 1:], filters.items(), strict=True):
    shown = axis.imshow(h, cmap="magma", vmin=0, vmax=top)
    axis.set(title=name, xlabel="pixel", ylabel="pixel")
figure.colorbar(shown, ax=axes[0, 3], label="share of the light")
axes[0, 0].imshow(unseen[7:-7, 7:-7], cmap="gray", vmin=0, vmax=1)
axes[0, 0].set(title="unseen photograph (grey values)", xticks=[], yticks=[])
axes[1, 0].imshow(data, cmap="gray", vmin=0, vmax=1)
axes[1, 0].set(title="out of focus, with noise", xticks=[], yticks=[])
for axis, (name, x) in zip(axes[1, 1:], restored.items(), strict=True):
    axis.imshow(x[7:-7, 7:-7], cmap="gray", vmin=0, vmax=1)
    axis.set(title=f"deblurred, {name}\n{scores[name]:.1f} dB", xticks=[], yticks=[])
