r"""
The light on a page, in spite of its text
=========================================

How is a page of a book illuminated? The photograph ``page`` of scikit-image shows printed text in uneven light. The
text is an outlier of a smooth model of the light.

The light is a polynomial of third degree along both axes, the Kronecker product of two ``Regression`` operators with
sixteen unknowns. Least squares is drawn to the dark letters. Iteratively reweighted least squares, ``irls``, minimises

.. math:: \|A x - y\|_1

instead, which ignores what lies far from the rest.
"""

import matplotlib.pyplot as plt
import torch
from scipy.ndimage import percentile_filter

from torchlops import Kronecker, Regression, irls, lsqr, plot
from torchlops.demo.photographs import photograph

page = photograph("page")[::2, ::2].double()
rows, columns = page.shape
A = Kronecker(*(Regression(torch.linspace(-1, 1, n, dtype=torch.float64), 3) for n in (rows, columns)))
print(f"{A}: {page.numel()} pixels, {A.shape[1]} unknowns")

# %%
# Both solutions are compared with the paper between the letters: of each window of 15 x 15 pixels, the value that a
# quarter of the pixels exceed. It knows nothing of polynomials.

x = {"least squares": lsqr(A, page.flatten(), niter=100).x}
x["irls"] = irls(A, page.flatten(), kind="data", nouter=30, niter=100).x
light = {name: A(coefficients).reshape(page.shape) for name, coefficients in x.items()}
paper = torch.from_numpy(percentile_filter(page.numpy(), 75, size=15))
errors = {name: float((y - paper).square().mean().sqrt()) for name, y in light.items()}
print("distance from the paper (grey values): " + ", ".join(f"{name} {e:.3f}" for name, e in errors.items()))
assert errors["irls"] < 0.5 * errors["least squares"]

# %%
# Whatever is darker than four fifths of the light is text. By least squares, the light is too low beside the letters,
# and a part of them is lost in the lower rows.

figure, axes = plt.subplots(2, 3, figsize=(11.5, 4.8), layout="constrained")
grey = {"cmap": "gray", "vmin": 0, "vmax": 1, "colorbar": False, "xlabel": "column", "ylabel": "row"}
plot.image(page, axes[0, 0], title="photograph (grey values)", **grey)
row = rows // 2
axes[1, 0].plot(page[row], color="0.7", label="photograph")
for (name, y), column, color in zip(light.items(), (1, 2), ("C1", "C0"), strict=True):
    axes[1, 0].plot(y[row], color, label=name)
    plot.image(y, axes[0, column], title=f"light by {name}: {errors[name]:.3f} off", **grey)
    plot.image((page > 0.8 * y).double(), axes[1, column], title="not darker than 0.8 of it", **grey)
axes[1, 0].set(title=f"row {row}", xlabel="column", ylabel="grey value", ylim=(0, 1))
axes[1, 0].legend(loc="lower left")
