r"""
Weights of derivatives, learned through a minimum
=================================================

Which weights should a denoiser give to first and to second derivatives? They are learned on three photographs of
scikit-image with noise, and restore four others.

A photograph :math:`y` with noise is restored by the minimiser of

.. math:: J(x) = \tfrac12 \|x - y\|^2 + w_1 \sum |G x| + w_2 \sum |D x|,

with the gradient :math:`G`, the second derivatives :math:`D`, and smoothed absolute values. The error of the minimiser
is differentiated with respect to both weights by the implicit function theorem:

.. math:: \frac{dx}{dw} = -H^{-1} \frac{\partial^2 J}{\partial x \, \partial w}.

Products with the Hessian :math:`H` are forward mode over reverse mode, and those with the mixed derivative reverse over
reverse, both through the operators. No iterations of the solver are stored. (With PyLops's ``TorchOperator``, reverse
over reverse silently gives a Hessian of zero, and forward over reverse raises.)
"""

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from tqdm import tqdm

from torchlops import Gradient, SecondDerivative, VStack
from torchlops.demo.deblurring import conjugate_gradients, quality
from torchlops.demo.photographs import TEST, central_crops

NOISE, CORNER, SIZE, STEPS = 0.1, 0.02, 64, 10
DIMS = (SIZE, SIZE)
G = Gradient(DIMS, kind="forward")
D = VStack([SecondDerivative(DIMS, axis=axis, edge=True) for axis in (0, 1)])

# %%
# The cost, and products with its Hessian by ``torch.func``.


def cost(x: Tensor, y: Tensor, logw: Tensor) -> Tensor:
    first = (G(x).square().sum(-3) + CORNER**2).sqrt().sum()
    second = (D(x).reshape((*x.shape[:-2], 2, *DIMS)).square().sum(-3) + CORNER**2).sqrt().sum()
    return 0.5 * (x - y).square().sum() + logw[0].exp() * first + logw[1].exp() * second


def hessian_times(x: Tensor, y: Tensor, logw: Tensor, v: Tensor) -> Tensor:
    return torch.func.jvp(lambda x: torch.func.grad(cost)(x, y, logw), (x,), (v,))[1]


# %%
# Its minimiser, by Newton's method with conjugate gradients, and the derivative of the error of the minimiser: one more
# solve.


def minimise(x: Tensor, y: Tensor, logw: Tensor, niter: int) -> Tensor:
    """Return the minimiser by Newton's method from ``x``, halving the step of a photograph if its cost increases."""
    each = torch.func.vmap(cost, in_dims=(0, 0, None))
    for _ in range(niter):
        gradient = torch.func.grad(cost)(x, y, logw)
        step = conjugate_gradients(lambda v, x=x: hessian_times(x, y, logw, v), -gradient, torch.zeros_like(x), 10)
        length, now = torch.ones(len(x), 1, 1, dtype=x.dtype), each(x, y, logw)
        for _ in range(4):
            length = torch.where((each(x + length * step, y, logw) > now)[:, None, None], length / 2, length)
        x = x + length * step
    return x


def hypergradient(x: Tensor, y: Tensor, logw: Tensor, truth: Tensor) -> Tensor:
    """Return the derivative of ``mean (x - truth)^2`` with respect to ``logw`` at the minimiser ``x``."""
    error = 2 * (x - truth) / x.numel()
    q = conjugate_gradients(lambda v: hessian_times(x, y, logw, v), error, torch.zeros_like(x), 40)
    return -torch.func.grad(lambda logw: (q * torch.func.grad(cost)(x, y, logw)).sum())(logw)


# %%
# Ten steps of Adam on the logarithms of the weights.

torch.manual_seed(0)
training = central_crops(("astronaut", "chelsea", "rocket"), SIZE).double()
y = training + NOISE * torch.randn_like(training)
logw = torch.tensor([0.01, 0.01], dtype=torch.float64).log().requires_grad_()

optimizer = torch.optim.Adam([logw], lr=0.4, betas=(0.7, 0.9))
weights, errors = [], []
x = minimise(y, y, logw.detach(), 10)
for _ in tqdm(range(STEPS), desc="learning", disable=None):
    x = minimise(x, y, logw.detach(), 3)
    weights.append(logw.detach().exp())
    errors.append(-10 * float((x - training).square().mean().log10()))
    logw.grad = hypergradient(x, y, logw.detach(), training)
    optimizer.step()

# %%
# The derivative agrees with finite differences, which take two minimisations for each weight.

learned, nudge = logw.detach(), torch.tensor([1e-3, 0.0], dtype=torch.float64)
ends = [(minimise(x, y, learned + s * nudge, 8) - training).square().mean() for s in (1, -1)]
by_differences = float(ends[0] - ends[1]) / 2e-3
exact = float(hypergradient(minimise(x, y, learned, 8), y, learned, training)[0])
print(f"derivative by the first weight: {exact:.4e}, by finite differences {by_differences:.4e}")
assert abs(exact - by_differences) < 0.01 * abs(by_differences) + 1e-7

# %%
# The learned weights restore photographs that were not used.

truth = central_crops(TEST, SIZE).double()
noisy = truth + NOISE * torch.randn_like(truth)
restored = {n: minimise(noisy, noisy, w.log(), 12) for n, w in (("first", weights[0]), ("learned", learned.exp()))}
scores = {n: [quality(a, b)[0] for a, b in zip(z, truth, strict=True)] for n, z in restored.items()}
means = {name: sum(values) / len(values) for name, values in scores.items()}
assert means["learned"] > means["first"] + 1
print(f"weights {weights[0].tolist()} -> {[round(w, 4) for w in learned.exp().tolist()]}")
print(
    f"training photographs {errors[0]:.2f} -> {errors[-1]:.2f} dB; "
    f"unseen {means['first']:.2f} -> {means['learned']:.2f} dB"
)

# %%
# Both weights rise two- to threefold, and the photographs keep less noise.

figure = plt.figure(figsize=(11.5, 5.4), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 2))
upper, lower = left.subplots(2, 1, sharex=True)
upper.plot([w[0] for w in weights], "C0o-", label="w1, first derivatives")
upper.plot([w[1] for w in weights], "C1s-", label="w2, second derivatives")
upper.set(title="learning on 3 photographs", ylabel="weight (grey values)", yscale="log")
upper.legend()
lower.plot(errors, "C3o-")
lower.set(xlabel="step of the weights", ylabel="PSNR of the minimisers / dB")
rows = {"with noise": noisy, "first weights": restored["first"], "learned weights": restored["learned"]}
for i, (row, (title, images)) in enumerate(zip(right.subplots(3, 4), rows.items(), strict=True)):
    row[0].set_ylabel(title)
    for j, (axis, image) in enumerate(zip(row, images, strict=True)):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[], xlabel=f"{quality(image, truth[j])[0]:.1f} dB", title="" if i else TEST[j])
