r"""
A transform of patches that learns to denoise
=============================================

Can a transform of small patches be better than the cosine transform for denoising? It is learned on eight photographs
of scikit-image with noise, and compared on four others.

``Patch2D`` applies an operator to all overlapping patches of all photographs of a batch at once. Its adjoint cuts
photographs into patches and analyses each. With shrinkage of the coefficients between the two,

.. math:: x = P \, s(P^H y), \qquad s(c) = \frac{c^5}{c^4 + \tau^4},

this is classical denoising in a sliding cosine transform. Here, the matrix of the inner operator and the thresholds
:math:`\tau` of its 64 coefficients are parameters, trained through ``Patch2D``. On unseen photographs, the learned
transform is better than the cosine transform with its best threshold.
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from torchlops import MatrixMult
from torchlops.demo.deblurring import quality
from torchlops.demo.photographs import TEST, TRAINING, central_crops, photograph
from torchlops.signalprocessing import DCT, Patch2D
from torchlops.signalprocessing.patch2d import patch2d_design

NOISE, WIN, OVER, STEPS = 0.1, 8, 4, 300

# %%
# The denoiser, as a module.


class PatchDenoiser(nn.Module):
    """Analyse patches, shrink their coefficients, synthesise, and average the patches."""

    def __init__(self, matrix: Tensor, thresholds: Tensor) -> None:
        super().__init__()
        self.matrix, self.thresholds = nn.Parameter(matrix), nn.Parameter(thresholds)

    def forward(self, y: Tensor) -> Tensor:
        window, overlap, size = (WIN, WIN), (OVER, OVER), tuple(y.shape[-2:])
        dims = patch2d_design(size, window, overlap, window)[1]
        P = Patch2D(MatrixMult(self.matrix), dims, size, window, overlap, window, tapertype=None)
        c = P.adjoint(y)
        energy, level = c.square(), self.thresholds.reshape(WIN, WIN)
        cover = Patch2D(MatrixMult(torch.eye(WIN**2)), dims, size, window, overlap, window, tapertype=None)
        return P(c * energy**2 / (energy**2 + level**4)) / cover(torch.ones(P.dims))


def random_crop(image: Tensor, size: int) -> Tensor:
    top, left = (int(torch.randint(n - size + 1, ())) for n in image.shape)
    crop = image[top : top + size, left : left + size].rot90(int(torch.randint(4, ())))
    return crop.flip(0) if torch.rand(()) < 0.5 else crop


# %%
# It starts as the cosine transform with the best of seven thresholds, and is trained on random crops.

torch.manual_seed(0)
training = central_crops(TRAINING, 128)
cosine = DCT(WIN).todense(backend="torch").float()
start = torch.kron(cosine, cosine).T.contiguous()  # synthesis: the adjoint of the analysis


def denoiser(threshold: float) -> PatchDenoiser:
    levels = torch.full((WIN**2,), threshold)
    levels[0] = 1e-3  # keep the means of the patches
    return PatchDenoiser(start.clone(), levels)


y = training + NOISE * torch.randn_like(training)
with torch.no_grad():
    tried = [k * NOISE for k in (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0)]
    best = min(tried, key=lambda level: float((denoiser(level)(y) - training).square().mean()))
net, classical = denoiser(best), denoiser(best)
optimizer = torch.optim.Adam([{"params": [net.matrix], "lr": 2e-3}, {"params": [net.thresholds], "lr": 1e-2}])
photographs = [photograph(name) for name in TRAINING]
for _ in tqdm(range(STEPS), desc="training", disable=None):
    training = torch.stack([random_crop(photographs[int(i)], 72) for i in torch.randint(8, (6,))])
    y = training + NOISE * torch.randn_like(training)
    loss = (net(y) - training).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
# Four photographs that were not used.

truth = central_crops(TEST, 160)
noisy = truth + NOISE * torch.randn_like(truth)
with torch.no_grad():
    images = {"with noise": noisy, "cosine transform": classical(noisy), "learned transform": net(noisy)}
scores = {name: [quality(a, b)[0] for a, b in zip(x, truth, strict=True)] for name, x in images.items()}
means = {name: sum(values) / len(values) for name, values in scores.items()}
print(", ".join(f"{name} {mean:.2f} dB" for name, mean in means.items()), f"(mean of {', '.join(TEST)})")
assert means["learned transform"] > means["cosine transform"] + 0.15
gains = [a - b for a, b in zip(scores["learned transform"], scores["cosine transform"], strict=True)]
print("gains:", ", ".join(f"{name} {gain:+.2f} dB" for name, gain in zip(TEST, gains, strict=True)))
assert min(gains) > -0.1  # no photograph becomes visibly worse

# %%
# The patches from which photographs are synthesised, and the photographs.

figure = plt.figure(figsize=(11.5, 6.2), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 2.6))
for axis, matrix, title in zip(left.subplots(2, 1), (start, net.matrix.detach()), ("cosine", "learned"), strict=True):
    atoms = torch.nn.functional.pad(matrix.T.reshape(8, 8, WIN, WIN), (0, 1, 0, 1), value=torch.nan)
    axis.imshow(atoms.transpose(1, 2).reshape(8 * (WIN + 1), -1), cmap="gray", vmin=-0.3, vmax=0.3)
    axis.set(title=f"{title}: 64 patches", xticks=[], yticks=[])
for i, (row, (name, batch)) in enumerate(zip(right.subplots(3, 4), images.items(), strict=True)):
    row[0].set_ylabel(name)
    for j, (axis, image) in enumerate(zip(row, batch, strict=True)):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[], xlabel=f"{scores[name][j]:.2f} dB", title="" if i else TEST[j])
