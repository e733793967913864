r"""
An operator of PyLops inside a network
======================================

Can an operator that torchlops does not have be a layer of a network? PyLops's ``PoststackLinearModelling``, which
models seismic traces from the logarithm of the impedance, is one. The logs are synthetic layers on a trend, the traces
have noise.

``TorchOperator`` makes a layer of any operator of PyLops, with exact derivatives of any order and batches. The network
consists of three gradient steps on :math:`\|A x - d\|^2` with learned step lengths, each followed by a small CNN that
sees the model, the gradient and the background (Adler and Öktem, Inverse Problems 33, 124007, 2017). It is trained on
random logs, and compared with regularised least squares on others.
"""

import matplotlib.pyplot as plt
import torch
from pylops.avo.poststack import PoststackLinearModelling
from torch import Tensor, nn
from tqdm import tqdm

from torchlops import Smoothing1D, TorchOperator, aslinearoperator, cgls, plot, ricker

NT, DT, NOISE, STEPS, LAYERS = 160, 0.004, 0.015, 300, 3
"""Samples, sampling in s, noise of the traces, steps of training, layers of the network."""

torch.manual_seed(0)
wavelet = torch.as_tensor(ricker(torch.arange(15) * DT, f0=20)[0])
modelling = PoststackLinearModelling(wavelet.double().numpy(), nt0=NT)
A, adjoint = TorchOperator(modelling, batch=True), TorchOperator(modelling.H, batch=True)
foreign = aslinearoperator(modelling)  # the same for solvers and torch.func
print(foreign)

# %%
# Derivatives are exact: the Hessian of the misfit, by reverse mode over reverse mode and by forward mode over reverse
# mode, is :math:`2 A^H A`, which NumPy computes as well.

m, v = torch.randn(2, NT, dtype=torch.float64)
gradient = torch.func.grad(lambda m: foreign(m).square().sum())
expected = 2 * torch.from_numpy(modelling.H @ (modelling @ v.numpy()))
products = {
    "reverse over reverse": torch.func.vjp(gradient, m)[1](v)[0],
    "forward over reverse": torch.func.jvp(gradient, (m,), (v,))[1],
}
for name, product in products.items():
    difference = float((product - expected).norm() / expected.norm())
    print(f"Hessian product, {name}: relative difference {difference:.0e}")
    assert difference < 1e-12

# %%
# Logs of layers, their traces, and the background that is known, the mean over half a second.

S = Smoothing1D(81, NT)
cover = S(torch.ones(NT, dtype=torch.float64))


def logs(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return logarithms of impedances in log(kg m^-2 s^-1), the traces, and the backgrounds."""
    tops = torch.rand(count, NT) < 0.08
    steps = torch.where(tops, 0.12 * torch.randn(count, NT), 0.0).double()
    m = 15.5 + 0.002 * torch.arange(NT) + steps.cumsum(-1)
    d = A(m)
    return m, d + NOISE * torch.randn_like(d), S(m - 15.5) / cover + 15.5


# %%
# The network: each layer applies the operator of PyLops and its adjoint. It starts from damped least squares around the
# background; the foreign operator goes into solvers as well.


class Unrolled(nn.Module):
    """Gradient steps, each with a small CNN."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths = nn.Parameter(torch.full((LAYERS,), 0.5))
        self.cnns = nn.ModuleList(
            nn.Sequential(nn.Conv1d(4, 24, 9, padding=4), nn.ReLU(), nn.Conv1d(24, 24, 9, padding=4), nn.ReLU(),
                          nn.Conv1d(24, 1, 9, padding=4))
            for _ in range(LAYERS)
        )  # fmt: skip
        for cnn in self.cnns:
            nn.init.zeros_(cnn[-1].weight)  # an untrained network consists of gradient steps

    def forward(self, d: Tensor, background: Tensor, start: Tensor) -> Tensor:
        m, level = start, background - background.mean(-1, True)
        for length, cnn in zip(self.lengths, self.cnns, strict=True):
            gradient = adjoint(A(m) - d)
            seen = torch.stack([10 * (m - background), 10 * (start - background), 30 * gradient, 10 * level], 1)
            m = m - length * gradient + 0.3 * cnn(seen.float())[:, 0]
        return m


def least_squares(d: Tensor, background: Tensor, damp: float) -> Tensor:
    return background + cgls(foreign, d - A(background), damp=damp, niter=100, tol=0, gtol=1e-3).x


m, d, background = logs(500)
start = least_squares(d, background, 0.1)
network = Unrolled()
optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
for _ in tqdm(range(STEPS), desc="training", disable=None):
    some = torch.randint(len(m), (20,))
    loss = (network(d[some], background[some], start[some]) - m[some]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

# %%
# On unseen logs, it is compared with least squares with the best of a grid of dampings.

m, d, background = logs(50)
tried = [least_squares(d, background, damp) for damp in (0.05, 0.07, 0.1, 0.15, 0.2)]
found = {"background": background, "least squares": min(tried, key=lambda x: float((x - m).square().mean()))}
with torch.no_grad():
    found["network"] = network(d, background, tried[2])
errors = {name: float((x - m).square().mean().sqrt()) for name, x in found.items()}
print("rms error of log-impedance: " + ", ".join(f"{name} {error:.3f}" for name, error in errors.items()))
assert errors["network"] < 0.75 * errors["least squares"] < errors["background"]

t = DT * torch.arange(NT)
figure, axes = plt.subplots(1, 4, figsize=(11.5, 4.8), layout="constrained")
where = {"y": t, "x": torch.arange(24), "xlabel": "log", "ylabel": "time / s", "colorbar": False}
limits = {"vmin": float(m[:24].min()), "vmax": float(m[:24].max())}
plot.image(m[:24].T, axes[0], title="24 of 50 true logs", **limits, **where)
plot.image(
    found["least squares"][:24].T, axes[1], title=f"least squares: {errors['least squares']:.3f} off", **limits, **where
)
plot.image(found["network"][:24].T, axes[2], title=f"network: {errors['network']:.3f} off", **limits, **where)
figure.colorbar(axes[2].get_images()[0], ax=axes[2], label="logarithm of the impedance in kg m⁻² s⁻¹")
k = int((m - background).abs().mean(-1).argmax())
for (name, x), style in zip(found.items(), ("0.7", "C1", "C0"), strict=True):
    axes[3].plot(x[k], t, style, label=name)
axes[3].plot(m[k], t, "k", linewidth=1, label="true")
axes[3].set(title=f"log {k}", xlabel="logarithm of the impedance", ylim=(NT * DT, 0))
axes[3].legend()
