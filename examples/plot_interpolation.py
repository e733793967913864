r"""
Registration of two photographs by gradients of positions
=========================================================

Which affine map takes one photograph to another? A photograph of scikit-image is rotated, enlarged, sheared and shifted
with cubic splines, darkened, and noise is added.

``Bilinear`` samples an image at positions that depend on the parameters :math:`a` of the map. Its derivative with
respect to the positions, in forward mode, gives the Jacobian :math:`J` of the residual :math:`r`, and so Gauss-Newton
steps

.. math:: a \leftarrow a - (J^T J)^{-1} J^T r,

first on smoothed photographs, finally on sharp ones. (In PyLops, positions are fixed when the operator is built.)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage.filters import gaussian
from skimage.transform import AffineTransform, warp
from torch import Tensor
from tqdm import tqdm

from torchlops.demo.photographs import photograph
from torchlops.signalprocessing import Bilinear

MARGIN = 48


# %%
# Two photographs, and the map between them, which acts on (row, column) relative to the centre.

torch.manual_seed(0)
fixed = photograph("astronaut")[0:320, 60:380].double()
size, half = fixed.shape[0], (fixed.shape[0] - 1) / 2
rows, columns = torch.meshgrid(*(torch.arange(MARGIN, size - MARGIN).double(),) * 2, indexing="ij")
grid = torch.stack((torch.ones_like(rows), (rows - half) / half, (columns - half) / half)).flatten(1)

# The map acts on (row, column) relative to the centre; skimage expects (column, row).
truth = torch.tensor([[7.3, half * 1.05, -half * 0.08], [-5.6, half * 0.11, half * 1.03]]).double()
linear = truth[:, 1:] / half
offset = truth[:, 0] + half - linear @ torch.full((2,), half).double()
matrix = np.eye(3)
matrix[:2, :2], matrix[:2, 2] = linear.flip(0, 1), offset.flip(0)
moving = torch.from_numpy(warp(fixed.numpy(), AffineTransform(matrix).inverse, order=3, mode="edge"))
moving = 0.8 * moving + 0.05 + 0.02 * torch.randn_like(moving)

# %%
# Six Gauss-Newton steps on each of four scales. Contrast and brightness are unknown as well.


def positions(a: Tensor) -> Tensor:
    return (half + a @ grid).clamp(0, size - 1)


a = torch.tensor([[0.0, half, 0.0], [0.0, 0.0, half]]).double()
start = a.clone()


def corners(a: Tensor) -> float:
    """Return the largest position error in pixels."""
    return float(((a - truth) @ grid).square().sum(0).sqrt().max())


errors, residuals = [corners(a)], {}
for blur in tqdm((8.0, 4.0, 2.0, 0.7), desc="scales", disable=None):
    f, m = (torch.from_numpy(gaussian(image.numpy(), blur)) for image in (fixed, moving))
    target = f[MARGIN:-MARGIN, MARGIN:-MARGIN].flatten()

    def residual(unknowns: Tensor, m: Tensor = m, target: Tensor = target) -> Tensor:
        seen = Bilinear(positions(unknowns[:6].reshape(2, 3)), m.shape)(m)
        return unknowns[6] * seen + unknowns[7] - target  # contrast and brightness are also unknown

    unknowns = torch.cat((a.flatten(), torch.tensor([1.25, -0.06]).double()))
    for _ in range(6):
        r, J = residual(unknowns), torch.func.jacfwd(residual)(unknowns)
        unknowns = unknowns - torch.linalg.solve(J.T @ J, J.T @ r)
        a = unknowns[:6].reshape(2, 3)
        errors.append(corners(a))

# %%
# The residuals before and after.

inside = fixed[MARGIN:-MARGIN, MARGIN:-MARGIN]
for name, map_ in (("before", start), ("after", a)):
    seen = Bilinear(positions(map_), moving.shape)(moving).reshape(inside.shape)
    residuals[name] = unknowns[6] * seen + unknowns[7] - inside
rms = {name: float(r.square().mean().sqrt()) for name, r in residuals.items()}
print(f"largest error of a position: {errors[0]:.1f} -> {errors[-1]:.4f} pixels in {len(errors) - 1} steps")
print(f"difference of the photographs: {rms['before']:.3f} -> {rms['after']:.3f} (noise 0.025)")
assert errors[0] > 10
assert errors[-1] < 0.05
assert rms["after"] < 0.05

# %%
# After registration, only noise is left.

figure, panels = plt.subplot_mosaic("abc;dee", figsize=(11, 7), layout="constrained")
axes = list(panels.values())
for axis, image, title in ((axes[0], fixed, "photograph"), (axes[1], moving, "turned, moved, darker, noisy")):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
axes[0].add_patch(plt.Rectangle((MARGIN, MARGIN), *inside.shape, fill=False, edgecolor="C3"))
corner = positions(a).reshape(2, *inside.shape)[:, [0, 0, -1, -1, 0], [0, -1, -1, 0, 0]]
axes[1].plot(corner[1], corner[0], "C3")
for axis, (name, r) in zip(axes[2:4], residuals.items(), strict=True):
    shown = axis.imshow(r, cmap="RdBu_r", vmin=-0.4, vmax=0.4)
    axis.set(title=f"difference {name}: {rms[name]:.3f}", xticks=[], yticks=[])
figure.colorbar(shown, ax=axes[3], shrink=0.8, label="grey values")
axes[4].semilogy(errors, "C3o-")
axes[4].set(title="largest error of a position", xlabel="Gauss-Newton step", ylabel="error / pixels")
axes[4].grid(alpha=0.3)
