r"""
A trained denoiser that leaves Python
=====================================

Is a model of operators the same after it has been compiled and exported? The model denoises seismic traces: it shrinks
their coefficients in a dual-tree complex wavelet transform, with a threshold per level that is learned from synthetic
traces.

The magnitudes of the complex coefficients of ``DTCWT`` hardly depend on where a reflection lies between two samples, so
that thresholding leaves fewer artefacts than in a real transform such as ``DWT``. An operator is an ``nn.Module`` of
plain torch operations: ``torch.compile(fullgraph=True)`` takes all of the model in one graph, and the file of
``torch.export`` needs no torchlops to run.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from torchlops import LinearOperator, plot, ricker
from torchlops.signalprocessing import DTCWT, DWT, Convolve1D

NT, DT, LEVEL, STEPS = 256, 0.004, 4, 200
torch.manual_seed(0)
wavelet, _, center = ricker(torch.arange(15) * DT, f0=25)
W = Convolve1D(NT, torch.as_tensor(wavelet).float(), offset=center)


def traces(count: int) -> tuple[Tensor, Tensor]:
    """Return traces with few reflections, and the same with noise that is as strong."""
    clean = W(torch.where(torch.rand(count, NT) < 0.03, torch.randn(count, NT), 0.0))
    return clean, clean + clean.std() * torch.randn_like(clean)


class Denoiser(nn.Module):
    """Shrinkage of wavelet coefficients, with a threshold per level; ``level`` is that of each coefficient."""

    def __init__(self, A: LinearOperator, level: Tensor) -> None:
        super().__init__()
        self.A = A
        self.register_buffer("level", level)
        self.logs = nn.Parameter(torch.full((LEVEL,), -1.0))

    def forward(self, y: Tensor) -> Tensor:
        c = self.A(y)
        thresholds = torch.cat((self.logs.exp(), self.logs.new_full((1,), 1e-3))).take(self.level)
        energy = c.square() if len(self.A.dimsd) == 1 else c.square().sum(-2, keepdim=True)
        return self.A.div(c * energy**2 / (energy**2 + thresholds**4))


# %%
# Both transforms are trained on the same traces.

dual, real = DTCWT(NT, level=LEVEL, dtype="float32"), DWT(NT, wavelet="sym8", level=LEVEL, dtype="float32")
sizes = {"DTCWT": (*dual.highpass_sizes, dual.lowpass_size), "DWT": (128, 64, 32, 16, 16)}
levels = {name: torch.repeat_interleave(torch.arange(LEVEL + 1), torch.tensor(of)) for name, of in sizes.items()}
models = {"DTCWT": Denoiser(dual, levels["DTCWT"]), "DWT": Denoiser(real, levels["DWT"].flip(0))}
clean, noisy = traces(200)
scores = {}
for name, model in models.items():
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in tqdm(range(STEPS), desc=name, disable=None):
        truth, y = traces(32)
        loss = (model(y) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores[name] = float(10 * (clean.square().mean() / (model(noisy) - clean).square().mean()).log10())
    print(f"{name}: {scores[name]:.2f} dB; thresholds {[round(v, 2) for v in model.logs.exp().tolist()]}")
assert scores["DTCWT"] > scores["DWT"] + 0.5

# %%
# All of the model is one graph, for ``torch.compile`` as well as for ``torch.export``. (This backend captures the
# graph, but generates no code, which would take a compiler of C++.) The exported program takes any number of traces.

model = models["DTCWT"].eval()
compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
program = torch.export.export(model, (noisy[:4],), dynamic_shapes={"y": {0: torch.export.Dim("batch")}})
with torch.no_grad():
    expected = model(noisy)
    difference = float((compiled(noisy) - expected).abs().max() / expected.abs().max())
print(f"compiled: relative difference {difference:.0e}")
assert difference < 1e-5

# %%
# A process that never imports torchlops loads the file, and denoises all 200 traces.

CODE = """
import sys, torch
y, expected = torch.load("traces.pt")
x = torch.export.load("model.pt2").module()(y)
print(float((x - expected).abs().max() / expected.abs().max()), "torchlops" in sys.modules)
"""
with tempfile.TemporaryDirectory() as folder:
    torch.export.save(program, f"{folder}/model.pt2")
    torch.save((noisy, expected), f"{folder}/traces.pt")
    size = Path(folder, "model.pt2").stat().st_size
    output = subprocess.run([sys.executable, "-c", CODE], cwd=folder, capture_output=True, text=True, check=True).stdout
difference, imported = output.split()
print(f"exported: {size / 1024:.0f} KiB, {len(program.graph.nodes)} nodes, relative difference {float(difference):.0e}")
assert float(difference) < 1e-5
assert imported == "False"

# %%
# The dual-tree transform gains more than a decibel on the other one.

k = int(clean.abs().sum(-1).argmax())
shown = {"clean": clean[k], "with noise": noisy[k]} | {name: model(noisy[k]) for name, model in models.items()}
figure, axes = plt.subplots(1, 2, figsize=(11, 6), layout="constrained", width_ratios=(1.6, 1))
plot.wiggle(torch.stack(list(shown.values())), axes[0], t=DT * torch.arange(NT), xlabel="", ylabel="time / s",
            title="one of 200 unseen traces", scale=0.6)  # fmt: skip
axes[0].set_xticks(range(4), [f"{name}\n{scores[name]:.1f} dB" if name in scores else name for name in shown])
for name, model in models.items():
    axes[1].plot(range(1, LEVEL + 1), model.logs.detach().exp(), "o-", label=name)
axes[1].set(title="learned thresholds", xlabel="level, from the finest", ylabel="threshold", xticks=range(1, LEVEL + 1))
axes[1].legend()
