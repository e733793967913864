"""The main job in small, and its command line."""

from __future__ import annotations

import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import torch

from torchlops.demo import chain, deblurring, impedance, photographs, waveform
from torchlops.demo.run import run

pytestmark = pytest.mark.slow


def test_the_chain_is_differentiated_exactly():
    for _, _, norm, error in chain.differentiate().rows():
        assert norm > 0.1
        assert error < 1e-14


def test_no_photograph_is_both_learned_from_and_tested_on():
    assert not set(photographs.TRAINING) & set(photographs.TEST)


def test_the_psf_is_that_of_a_defocused_lens():
    psf = photographs.defocus_psf()
    assert psf.sum() == pytest.approx(1)
    torch.testing.assert_close(psf, psf.T)
    torch.testing.assert_close(psf, psf.flip(0))
    # geometrical optics: a disc as wide as the defocus over the f-number, in pixels
    radius = torch.hypot(*torch.meshgrid(torch.arange(-7.0, 8), torch.arange(-7.0, 8), indexing="ij"))
    assert psf[radius <= 100 / 5.6 / 3.45 / 2 + 1].sum() > 0.9
    sharp = photographs.defocus_psf(defocus=0.0)
    assert sharp[7, 7] > 3 * psf[7, 7]


def test_baselines_restore():
    torch.manual_seed(0)
    psf = photographs.defocus_psf()
    scene = photographs.central_crops(["astronaut"], 94)
    A = photographs.blur((94, 94), psf)
    y = deblurring.observed(A, scene)
    truth = deblurring.inside(scene, psf)[0]
    before = deblurring.quality(y[0], truth)
    for restored in (deblurring.tikhonov(A, y, 2e-2), deblurring.total_variation(A, y, 3e-3)):
        psnr, ssim = deblurring.quality(deblurring.inside(restored, psf)[0], truth)
        assert psnr > before[0] + 1
        assert ssim > before[1]


def test_the_network_learns_through_the_blur(monkeypatch):
    monkeypatch.setattr(deblurring, "TRAINING", ("text",))
    torch.manual_seed(0)
    psf = photographs.defocus_psf()
    network = deblurring.UnrolledNetwork(layers=2, channels=8, memory=4)
    before = network.steps.detach().clone()
    samples = deblurring.prepare(psf, lambda _: None)
    losses = deblurring.train(network, psf, samples, 20, lambda _: None)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert (network.steps.detach() != before).all()


@pytest.mark.parametrize("orientation", range(8))
def test_data_turn_with_the_scene(orientation):
    torch.manual_seed(0)
    psf = photographs.defocus_psf()
    scene = torch.rand(2, 40, 34)
    turned = deblurring.oriented(scene, orientation)
    torch.testing.assert_close(deblurring.upright(turned, orientation), scene)
    A, B = photographs.blur((40, 34), psf), photographs.blur(tuple(turned.shape[-2:]), psf)
    torch.testing.assert_close(B(turned), deblurring.oriented(A(scene), orientation), rtol=0, atol=1e-6)


def test_the_network_keeps_what_it_starts_from_until_it_has_learned():
    torch.manual_seed(0)
    psf = photographs.defocus_psf()
    A = photographs.blur((40, 34), psf)
    y = deblurring.observed(A, torch.rand(1, 40, 34))
    network = deblurring.UnrolledNetwork()
    with torch.no_grad():
        network.steps.zero_()
        restored = deblurring.restore(network, psf, y)
    expected = deblurring.tikhonov_starts(A, y)[:, len(deblurring.START_WEIGHTS) // 2]
    torch.testing.assert_close(restored, expected, rtol=0, atol=1e-5)


def test_regularisation_and_preconditioning_help():
    torch.manual_seed(0)
    problem = impedance.solve(lambda _: None)
    runs = problem.inversions
    assert runs["regularised"].errors[-1] < 0.95 * runs["plain"].errors[-1]
    assert runs["both"].errors[-1] < 0.85 * runs["plain"].errors[-1]
    iterations = {name: run.reached(run.misfits, 1.1) for name, run in runs.items()}
    assert iterations["preconditioned"] < 0.7 * iterations["plain"]


def test_the_waves_find_the_salt():
    waves = waveform.invert(15, lambda _: None)
    assert waves.misfits[-1] < 0.15 * waves.misfits[0]
    assert waves.error(waves.found) < 0.8 * waves.error(waves.start)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_run_prints_tables_and_draws_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(deblurring, "TRAINING", ("rocket", "text"))
    monkeypatch.setattr(deblurring, "TIKHONOV_WEIGHTS", (3e-2,))
    monkeypatch.setattr(deblurring, "TOTAL_VARIATION_WEIGHTS", (3e-3,))
    result = run(tmp_path / "out", steps=2, show_progress=False, wave_iterations=2)
    printed = capsys.readouterr().out
    for word in (
        "Hessian",
        "PSNR",
        "SSIM",
        "total variation",
        "unrolled network",
        "preconditioned",
        "salt",
        "chain.png",
    ):
        assert word in printed
    assert len(result["figures"]) == 5
    for path in result["figures"]:
        picture = matplotlib.image.imread(path)
        assert picture.std() > 0.05
        assert path.stat().st_size < 700_000


def test_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "torchlops", "demo", "--help"], capture_output=True, text=True, check=True
    )
    assert "--output" in done.stdout
    wrong = subprocess.run([sys.executable, "-m", "torchlops"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
