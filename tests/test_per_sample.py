"""An operator for each sample of a batch, and what of an operator is state of a network."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import torchlops
from torchlops import per_sample
from torchlops import signalprocessing as sp


def _random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _blur(h):
    return torchlops.FirstDerivative(6).H @ sp.Convolve1D(6, h, offset=1)


def _interpolation(positions):
    return sp.Interp(6, positions)[0]


def _filtered_mask(d, h):
    return torchlops.Diagonal(d) @ sp.Convolve1D(6, h)


def _sampling(indices):
    return torchlops.Restriction(6, indices)


BUILDERS = {
    "diagonal": (torchlops.Diagonal, (_random(3, 6),)),
    "complex diagonal": (torchlops.Diagonal, (torch.complex(_random(3, 6), _random(3, 6, seed=1)),)),
    "matrix": (torchlops.MatrixMult, (_random(3, 4, 6),)),
    "filter in a chain": (_blur, (_random(3, 3),)),
    "positions": (_interpolation, (_random(3, 4).abs() + 0.1,)),
    "two tensors": (_filtered_mask, (_random(3, 6), _random(3, 3))),
    "indices": (_sampling, (torch.tensor([[0, 2], [1, 5], [3, 3]]),)),
    "boolean masks": (torchlops.Diagonal, (_random(3, 6) > 0,)),
}
every_builder = pytest.mark.parametrize(("build", "tensors"), BUILDERS.values(), ids=BUILDERS)


@every_builder
def test_each_sample_has_its_own(build, tensors):
    A = per_sample(build, *tensors)
    x = _random(2, *A.dims, seed=5)
    each = [build(*(tensor[s] for tensor in tensors)) for s in range(3)]
    torch.testing.assert_close(A(x), torch.stack([one(x[:, s]) for s, one in enumerate(each)], 1))
    y = _random(2, *A.dimsd, seed=6)
    torch.testing.assert_close(A.H(y), torch.stack([one.H(y[:, s]) for s, one in enumerate(each)], 1))


@pytest.mark.parametrize(
    ("build", "tensors"),
    [
        pytest.param(*case, id=name, marks=[] if name in ("diagonal", "positions") else [pytest.mark.slow])
        for name, case in BUILDERS.items()
    ],
)
def test_promises_hold(build, tensors):
    if tensors[0].dtype != torch.bool:  # of which Diagonal makes float64
        torchlops.testing.check(per_sample(build, *tensors), compile=False)


def test_gradients_reach_the_tensors():
    taps = nn.Parameter(_random(3, 3))
    A = per_sample(_blur, taps)
    assert [parameter is taps for parameter in A.parameters()] == [True]
    x = _random(3, 6, seed=2)
    A(x).square().sum().backward()
    want = torch.func.grad(lambda h: sum(_blur(h[s])(x[s]).square().sum() for s in range(3)))(taps.detach())
    torch.testing.assert_close(taps.grad, want)
    with torch.no_grad():
        taps.zero_()
    assert not A(x).any()


def test_solvers_take_it():
    diagonals = _random(3, 6).abs() + 0.5
    A = per_sample(torchlops.Diagonal, diagonals)
    y = _random(3, 6, seed=3)
    torch.testing.assert_close(torchlops.cgls(A, y, niter=40, tol=1e-14)[0], y / diagonals, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(A / y, y / diagonals)
    torch.testing.assert_close(torch.as_tensor((A @ A.H).todense()), torch.diag((diagonals**2).flatten()))


def test_it_moves_and_copies():
    A = per_sample(torchlops.Diagonal, np.ones((3, 6)))
    x = _random(3, 6)
    for B in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        torch.testing.assert_close(B(x), A(x))
    assert A.to(torch.float32)(x.float()).dtype == torch.float32
    assert "3 samples" in repr(A)


def test_it_compiles():
    A = per_sample(torchlops.Diagonal, _random(3, 6))
    x = _random(3, 6)
    compiled = torch.compile(lambda x: A(x), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), A(x))


@pytest.mark.parametrize("tensors", [(), (torch.ones(2, 3), torch.ones(3, 3)), (torch.ones(0, 3),), (torch.ones(()),)])
def test_numbers_of_samples_have_to_be_the_same(tensors):
    with pytest.raises(ValueError, match="samples"):
        per_sample(torchlops.Diagonal, *tensors)


def test_what_is_built_is_an_operator():
    with pytest.raises(TypeError, match="builds an operator"):
        per_sample(lambda x: x, torch.ones(2, 3))


@pytest.mark.parametrize(
    "build",
    [
        lambda: torchlops.Diagonal(torch.ones(5, 4), dims=4),
        lambda: sp.Convolve1D(4, torch.ones(5, 3)),
        lambda: sp.Convolve2D((4, 4), torch.ones(5, 3, 3)),
        lambda: torchlops.Restriction(4, torch.ones(5, 2, dtype=torch.int64)),
        lambda: sp.Interp(4, torch.ones(5, 2)),
        lambda: sp.Fredholm1(torch.ones(5, 2, 3, 3)),
        lambda: sp.PWSprayer2D((4, 4), torch.ones(5, 4, 4)),
        lambda: sp.Seislet(torch.ones(5, 4, 4)),
    ],
)
def test_errors_point_to_it(build):
    with pytest.raises(ValueError, match="per_sample"):
        build()


# -- what is state ---------------------------------------------------------------------------------------------------


def _network(n):
    A = sp.Convolve1D(n, torch.ones(n), offset=1) @ (2 * torchlops.Diagonal(torch.ones(n)))
    return nn.Sequential(nn.PReLU(), nn.BatchNorm1d(1), torchlops.exclude_from_state_dict(A))


def test_a_checkpoint_loads_at_another_size(tmp_path):
    small, large = _network(4), _network(8)
    names = set(small.state_dict())
    assert names == {name for name in names if name.startswith(("0.", "1."))}
    assert "1.running_mean" in names
    torch.save(small.state_dict(), tmp_path / "state")
    large.load_state_dict(torch.load(tmp_path / "state"))
    assert large[2](torch.ones(8)).shape == (8,)


def test_what_is_no_state_still_moves_and_copies():
    A = torchlops.exclude_from_state_dict(torchlops.Diagonal(torch.ones(3)))
    assert not A.state_dict()
    assert not A.H.state_dict()
    for B in (copy.deepcopy(A), pickle.loads(pickle.dumps(A)), A.double()):
        assert not B.state_dict()
        assert len(list(B.buffers())) == 1
    assert A.diag.dtype == torch.float64


def test_the_whole_network_at_once():
    learned = torchlops.Diagonal(nn.Parameter(torch.ones(3)))
    scale = torch.tensor(2.0)
    net = nn.Sequential(nn.BatchNorm1d(3), torchlops.Restriction(3, [0]) @ learned, scale * torchlops.Identity(1))
    names = set(torchlops.exclude_from_state_dict(net).state_dict())
    assert "0.running_var" in names
    assert {name for name in names if not name.startswith("0.")} == {f"1.{n}" for n, _ in net[1].named_parameters()}
