"""What the figures of torchlops.plot show: limits, labels, lines, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import torchlops
from torchlops import plot

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _figures():
    yield
    plt.close("all")


KINDS = {
    "tensor": lambda x: x,
    "with a graph": lambda x: x.clone().requires_grad_(),
    "16 bits": lambda x: x.bfloat16(),
    "array": np.asarray,
    "list": lambda x: np.asarray(x).tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_shows_the_values_at_their_coordinates(kind):
    data = torch.arange(12.0).reshape(3, 4) - 8
    ax = plot.image(KINDS[kind](data), x=[0, 2, 4, 6], y=[10, 20, 30], label="amplitude", title="section",
                    xlabel="offset / m", ylabel="time / s")  # fmt: skip
    (shown,) = ax.get_images()
    np.testing.assert_array_equal(shown.get_array(), data)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 7), (35, 5))  # pixels are centred on the coordinates, time is down
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("section", "offset / m", "time / s")
    assert shown.colorbar.ax.get_ylabel() == "amplitude"
    assert shown.get_clim() == (-8, 3)


def test_the_colours_of_signed_data_are_symmetric():
    data = torch.tensor([[-8.0, torch.nan], [1.0, 3.0]])
    (shown,) = plot.image(data, symmetric=True, colorbar=False).get_images()
    assert shown.get_clim() == (-8, 8)
    assert shown.colorbar is None
    assert plot.image(torch.zeros(2, 2), symmetric=True).get_images()[0].get_clim() == (-1, 1)
    (shown,) = plot.image(data, symmetric=True, vmin=-2, vmax=2, cmap="gray").get_images()
    assert (shown.get_clim(), shown.get_cmap().name) == ((-2, 2), "gray")


def test_wiggles_are_lines_about_their_traces():
    traces = torch.zeros(4, 50)
    traces[2, 10] = -3
    ax = plot.wiggle(traces, x=[0, 5, 10, 15], t=torch.arange(50) * 0.004, scale=0.8, xlabel="x / m", ylabel="t / s")
    assert len(ax.lines) == 4
    np.testing.assert_allclose(ax.lines[0].get_xdata(), 0)
    assert ax.lines[2].get_xdata().min() == pytest.approx(10 - 0.8 * 5)
    assert ax.get_ylim() == pytest.approx((49 * 0.004, 0))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x / m", "t / s")


def test_wiggles_fill_what_is_positive():
    ax = plot.wiggle(torch.tensor([[1.0, 2.0, 1.0, -1.0, -2.0, -1.0]]))
    (filled,) = ax.collections
    x = np.concatenate([path.vertices[:, 0] for path in filled.get_paths()])
    assert (x.min(), x.max()) == (0, 1)


def test_convergence_ends_where_each_sample_stopped():
    A = torchlops.Diagonal(torch.tensor([1.0, 2.0, 4.0]))
    y = torch.tensor([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    result = torchlops.cg(A, y, niter=20, tol=1e-8)
    ax = plot.convergence(result, label="cg", color="C3")
    assert [len(line.get_xdata()) - 1 for line in ax.lines] == result.iters.tolist() == [1, 2, 3]
    assert all(line.get_ydata()[0] == 1 for line in ax.lines)
    assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "iteration", "relative cost")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cg"]
    ax = plot.convergence(result.cost, relative=False)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), result.cost[:, 2])
    assert ax.get_ylabel() == "cost"


@pytest.mark.parametrize("solver", [torchlops.cg, torchlops.lsqr, torchlops.gmres, torchlops.ista, torchlops.omp])
@pytest.mark.parametrize("batch", [(), (2,), (2, 2)])
def test_convergence_of_any_solver(solver, batch):
    result = solver(torchlops.Diagonal(torch.tensor([1.0, 2.0])), torch.rand((*batch, 2)) + 0.5)
    assert len(plot.convergence(result).lines) == max(1, int(np.prod(batch)))


def test_convergence_draws_on_a_figure_that_is_there():
    _, ax = plt.subplots()
    result = torchlops.cg(torchlops.Diagonal(torch.tensor([1.0, 2.0])), torch.ones(2))
    assert plot.convergence(result, ax) is ax
    plot.convergence(result, ax)
    assert len({line.get_color() for line in ax.lines}) == 2


def test_spectra():
    A = torchlops.MatrixMult(torch.tensor([[3.0, 0.0], [0.0, -4.0]]).requires_grad_())
    ax = plot.spectrum(A)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [4, 3], rtol=1e-6)
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "singular value")
    np.testing.assert_allclose(plot.spectrum(A, k=1).lines[0].get_ydata(), [4], rtol=1e-6)
    ax = plot.spectrum(A, values="eigenvalues", label="A")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [3, -4], rtol=1e-6)
    assert (ax.get_yscale(), ax.get_legend().get_texts()[0].get_text()) == ("linear", "A")
    assert (
        len(plot.spectrum(torchlops.Diagonal(torch.arange(9.0)), k=3, values="eigenvalues").lines[0].get_ydata()) == 3
    )
    ax = plot.spectrum(torchlops.Roll(4), values="eigenvalues")
    np.testing.assert_allclose(np.hypot(ax.lines[0].get_xdata(), ax.lines[0].get_ydata()), 1, rtol=1e-6)
    assert ax.get_ylabel() == "imaginary part"
    with pytest.raises(ValueError, match="values must be 'singular values' or 'eigenvalues'"):
        plot.spectrum(A, values="all")


def test_the_matrix_of_an_operator():
    A = torchlops.FirstDerivative(6, kind="forward")
    ax = plot.sparsity(A)
    (shown,) = ax.get_images()
    np.testing.assert_array_equal(shown.get_array(), A.todense())
    assert "10 of 36" in ax.get_title()
    complex_valued = plot.sparsity(torchlops.signalprocessing.FFT(4)).get_images()[0].get_array()
    np.testing.assert_allclose(complex_valued, 0.5)
    with pytest.raises(
        ValueError, match=r"sparsity draws at most 2000 rows and columns, and Identity.* has 4096 x 4096"
    ):
        plot.sparsity(torchlops.Identity((64, 64)))


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"image takes values of shape \(rows, columns\), got \(2, 3, 4\)"):
        plot.image(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"these are complex: give x\.real"):
        plot.image(torch.zeros(2, 3, dtype=torch.complex64))
    with pytest.raises(ValueError, match="x must have a coordinate for each of the 3 samples, got 2"):
        plot.image(torch.zeros(2, 3), x=[0, 1])
    with pytest.raises(ValueError, match="y must be evenly spaced"):
        plot.image(torch.zeros(3, 3), y=[0, 1, 4])
    with pytest.raises(ValueError, match="has no history"):
        plot.convergence(torch.zeros(0))


@pytest.mark.parametrize("draw", [lambda: plot.image(torch.zeros(2, 2)), lambda: plot.spectrum(torchlops.Identity(2))])
def test_without_matplotlib_it_says_what_to_install(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"requires matplotlib.*pip install 'torchlops\[plot\]'"):
        draw()
