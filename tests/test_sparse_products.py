"""The sparse matrices that fast kernels keep follow what they come from."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
import torch

import torchlops
from torchlops import signalprocessing as sp
from torchlops.medical import CT2D

RNG = np.random.default_rng(0)
TABLE = RNG.integers(0, 40, (40, 30, 40)).astype(float)


def _spread():
    return torchlops.Spread((40, 30), (40, 40), table=TABLE)


def _sinc():
    return sp.Interp(400, RNG.uniform(0, 399, 300), kind="sinc", tol=1e-3)[0]


def _scan():
    return CT2D((24, 20), 1.0, 30, np.arange(10) * np.pi / 10)


@pytest.fixture(params=[_spread, _sinc], ids=["Spread", "sinc"])
def A(request):
    return request.param()


def _batch(A, dtype=torch.float32):
    return torch.randn(300, *A.dims, generator=torch.Generator().manual_seed(0)).to(dtype)


def _slow(A, x):
    return A._forward(x)


def test_types_alternate(A):
    for dtype in (torch.float32, torch.float64, torch.float32, torch.complex64, torch.bfloat16):
        x = _batch(A, dtype)
        tolerance = {"rtol": 0.02, "atol": 0.1} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(A(x), _slow(A, x), **tolerance)
        assert A(x).dtype == dtype


def test_autocast_leaves_them_alone(A):
    x = _batch(A).requires_grad_()
    want = _slow(A, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = A(x)
        model = A.H(y.detach())
    torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)
    assert model.dtype == torch.float32
    y.sum().backward()
    torch.testing.assert_close(A(x), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [_spread, _sinc, _scan], ids=["Spread", "sinc", "CT2D"])
def test_autocast_leaves_them_in_use(make, monkeypatch):
    """Without them, products in mixed precision would take up to hundreds of times as long."""
    A = make()
    x, want = _batch(A), _slow(A, _batch(A))
    for name in ("_forward", "_adjoint"):
        monkeypatch.setattr(type(A), name, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, model = A(x), A.H(want)
    torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)
    assert model.dtype == torch.float32


def test_inference_mode_before_and_after(A):
    x = _batch(A)
    want = _slow(A, x)
    with torch.inference_mode():
        torch.testing.assert_close(A(x), want, rtol=1e-4, atol=1e-4)
    leaf = x.clone().requires_grad_()
    A(leaf).sum().backward()
    torch.testing.assert_close(leaf.grad, A.H(torch.ones_like(want)), rtol=1e-4, atol=1e-3)


def test_tables_made_in_inference_mode_may_change():
    with torch.inference_mode():
        A = _spread()
        x = _batch(A)
        A(x)
        A.table.fill_(3)
        torch.testing.assert_close(A(x), _slow(A, x), rtol=1e-4, atol=1e-4)


def test_a_table_that_is_changed_or_replaced_is_seen():
    A = _spread()
    x = _batch(A)
    A(x)
    A.table.fill_(3)
    torch.testing.assert_close(A(x), _slow(A, x), rtol=1e-4, atol=1e-4)
    A.table = torch.full_like(A.table, 5)
    torch.testing.assert_close(A(x), _slow(A, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda A: pickle.loads(pickle.dumps(A))], ids=["deepcopy", "pickle"]
)
def test_copies_make_their_own(A, duplicate):
    x = _batch(A)
    want = A(x)
    torch.testing.assert_close(duplicate(A)(x), want)


def test_threads_share_them(A):
    x, results = _batch(A), []
    threads = [threading.Thread(target=lambda: results.append(A(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(results) == 4
    for y in results:
        torch.testing.assert_close(y, results[0])
