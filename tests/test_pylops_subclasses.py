"""Operators that were written for PyLops, after one changed import."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import torchlops as pylops
from torchlops.utils.decorators import reshaped

ROOT = Path(__file__).parents[1]


class Running(pylops.LinearOperator):
    """As a PyLops user would have written it."""

    def __init__(self, dims, axis=-1, dtype="float64"):
        self.axis = axis
        super().__init__(dtype=np.dtype(dtype), dims=dims, dimsd=dims, explicit=False, name="R")

    @reshaped(swapaxis=True)
    def _matvec(self, x):
        return np.cumsum(x, axis=-1)

    @reshaped(swapaxis=True)
    def _rmatvec(self, x):
        return np.flip(np.cumsum(np.flip(x, axis=-1), axis=-1), axis=-1)


class Scaled(pylops.LinearOperator):
    def __init__(self, weight):
        super().__init__(shape=(3, 3), dtype=np.float64)
        self.weight = weight

    def _matvec(self, x):
        return self.weight.numpy() * x


def test_the_operator_works_in_every_mode():
    A = Running((3, 4), axis=0)
    B = pylops.CausalIntegration((3, 4), axis=0)
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(A(x), B(x))
    torch.testing.assert_close(A.H(x), B.H(x))
    assert gradcheck(A, (x,), check_forward_ad=True)
    assert gradgradcheck(A, (x,))
    assert pylops.dottest(A, complexflag=3)
    torch.testing.assert_close(torch.vmap(A)(x), B(x))
    np.testing.assert_allclose((A.H @ A).todense(), (B.H @ B).todense())


def test_copies():
    A = Running((3, 4))
    x = torch.randn(3, 4, dtype=torch.float64)
    for copied in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        torch.testing.assert_close(copied(x), A(x))
        copied.axis = 0  # the copy calls its own methods, and A those of A
        torch.testing.assert_close(copied(x), x.cumsum(0))
        torch.testing.assert_close(A(x), x.cumsum(1))


def test_a_tensor_that_wants_a_gradient_raises():
    weight = torch.ones(3, dtype=torch.float64)
    assert Scaled(weight)(torch.ones(3, dtype=torch.float64)).tolist() == [1, 1, 1]
    for wanted in (weight.requires_grad_(), torch.nn.Parameter(weight.detach())):
        with pytest.raises(RuntimeError, match="requires a gradient"):
            Scaled(wanted)(torch.ones(3, dtype=torch.float64))


def test_a_missing_adjoint_says_so():
    with pytest.raises(NotImplementedError, match="does not define _rmatvec"):
        Scaled(torch.ones(3)).H(torch.ones(3))


class Early(pylops.LinearOperator):
    """Sets its attributes, and holds an operator, before it calls the constructor; chooses its methods after it."""

    def __init__(self, dims, backwards=False):
        self.dtype = np.dtype("float32")
        self.dims = dims
        self.dimsd = dims
        self.inner = pylops.FirstDerivative(dims, dtype=self.dtype)
        self.parts = [pylops.Identity(dims), self.inner]
        super().__init__(clinear=True, explicit=False, name="E")
        self._matvec = self._backwards if backwards else self._forwards
        self._rmatvec = self._rmat_backwards if backwards else self._rmat_forwards

    @reshaped
    def _forwards(self, x):
        return self.inner._matvec(x.ravel()).reshape(self.dimsd)

    @reshaped
    def _rmat_forwards(self, x):
        return self.inner._rmatvec(x.ravel()).reshape(self.dims)

    def _backwards(self, x):
        return self.inner.rmatvec(x)

    def _rmat_backwards(self, x):
        return self.inner.matvec(x)


@pytest.mark.parametrize("backwards", [False, True])
def test_attributes_before_the_constructor_and_methods_on_the_instance(backwards):
    A = Early((3, 4), backwards)
    B = pylops.FirstDerivative((3, 4))
    B = B.H if backwards else B
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert (A.dtype, A.dims, A.shape, A.name) == (np.float32, (3, 4), (12, 12), "E")
    torch.testing.assert_close(A(x), B(x))
    torch.testing.assert_close(A.H(x), B.H(x))
    assert gradcheck(A, (x,), check_forward_ad=True)
    assert pylops.dottest(A, rtol=1e-4)
    assert A.inner in A.modules()
    for copied in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        torch.testing.assert_close(copied(x), B(x))
        assert copied._matvec.__self__ is copied


class Renamed(pylops.LinearOperator):
    """Built from another operator, whose methods it calls."""

    def __init__(self, Op, factor=2.0):
        super().__init__(Op=Op, name="R")
        self.factor = factor

    def _matvec(self, x):
        return self.factor * super()._matvec(x)

    def _rmatvec(self, x):
        return self.factor * super()._rmatvec(x)


class Whole(pylops.LinearOperator):
    """Is what it is built from, in other shapes."""

    def __init__(self, Op):
        super().__init__(Op=Op)
        self.dims = (12,)


def test_built_from_another_operator():
    from scipy.sparse.linalg import aslinearoperator

    D = pylops.FirstDerivative((3, 4))
    x = torch.randn(3, 4, dtype=torch.float64)
    A = Renamed(D)
    assert (A.dims, A.shape, A.name) == (D.dims, D.shape, "R")
    torch.testing.assert_close(A(x), 2 * D(x))
    torch.testing.assert_close(A.H(x), 2 * D.H(x))
    for inner in (aslinearoperator(np.ones((2, 3))), pylops.MatrixMult(np.ones((2, 3)))):
        for B in (pylops.LinearOperator(inner), pylops.LinearOperator(Op=inner, shape=inner.shape)):
            np.testing.assert_array_equal(B @ np.ones(3), [3, 3])
            np.testing.assert_array_equal(B.H @ np.ones(2), [2, 2, 2])
        np.testing.assert_array_equal(Renamed(inner) @ np.ones(3), [6, 6])


def test_built_from_a_native_operator_it_is_native():
    weights = torch.nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    A = Whole(pylops.Diagonal(weights))
    assert isinstance(A, Whole)
    assert A.dims == (12,)
    x = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(A(x), weights * x.reshape(2, 3, 4))
    assert gradcheck(lambda x, w: torch.func.functional_call(A, {"Op.diag": w}, (x,)), (x, weights))
    compiled = torch.compile(lambda x: A.H(A(x)).sum(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), A.H(A(x)).sum())


class Integers(pylops.LinearOperator):
    def __init__(self, n):
        super().__init__(dtype=int, shape=(n, n))

    def _matvec(self, x):
        return np.flip(x)

    _rmatvec = _matvec


def test_integers():
    A = Integers(3)
    assert A.dtype == np.dtype(int)
    np.testing.assert_array_equal(A @ np.arange(3), [2, 1, 0])
    np.testing.assert_array_equal((A + A).todense(), 2 * np.eye(3)[::-1])
    assert (A @ np.array([0.5, 1.0, 1.5])).tolist() == [1.5, 1.0, 0.5]


class Changed(pylops.LinearOperator):
    """Sets what it is after it has called the constructor."""

    def __init__(self):
        super().__init__(dtype="float64", shape=(6, 6))
        self.dims = self.dimsd = (2, 3)
        self.dtype = np.dtype("complex128")
        self.clinear = False

    @reshaped
    def _matvec(self, x):
        assert x.shape == (2, 3)
        return x.conj()

    _rmatvec = _matvec


def test_attributes_after_the_constructor():
    A = Changed()
    x = torch.randn(4, 2, 3, dtype=torch.complex128)
    torch.testing.assert_close(A(x), x.conj().resolve_conj())
    assert isinstance(A, Changed)
    assert not A.clinear
    A.dims = A.dimsd = (3, 2)
    with pytest.raises(AssertionError):  # the method reads the new shape
        A @ np.ones(6)


def test_flat_methods_beside_inherited_kernels_are_refused():
    class Twice(pylops.FirstDerivative):
        def _matvec(self, x):
            return 2 * super()._matvec(x)

    with pytest.raises(TypeError, match="Twice has _matvec or _rmatvec on flat vectors, but also the kernels"):
        Twice(4)
    D = pylops.FirstDerivative(4)
    with pytest.raises(TypeError, match="kernels"):
        D._matvec = lambda x: x


def test_an_operator_is_built_inside_a_compiled_function():
    class Native(pylops.LinearOperator):
        def __init__(self, h):
            self.inner = pylops.Diagonal(h)
            super().__init__(h.shape)

        def _forward(self, x):
            return self.inner(x)

    function = torch.compile(lambda h, x: Native(h)(x).sum(), backend="aot_eager", fullgraph=True)
    h = torch.randn(4, requires_grad=True)
    function(h, torch.ones(4)).backward()
    torch.testing.assert_close(h.grad, torch.ones(4))


@pytest.mark.slow
def test_the_sources_of_pylops_on_torchlops(tmp_path):
    """PyLops's sub-packages for waves, AVO and medical imaging give on torchlops what they give on PyLops."""
    from tests.peers.gallery import difference

    found = []
    for package in ("pylops", "torchlops"):
        file = tmp_path / f"{package}.npz"
        command = [sys.executable, "-m", "tests.peers.graft", package, str(file)]
        done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(dict(np.load(file)))
    theirs, ours = found
    assert len(theirs) > 100
    assert theirs.keys() == ours.keys()
    assert {name: value.shape for name, value in theirs.items()} == {name: value.shape for name, value in ours.items()}
    found = {name: difference(value, ours[name]) for name, value in theirs.items()}
    assert {name: text for name, text in found.items() if text} == {}


class Late(pylops.LinearOperator):
    """Sets its shape and dtype after it has called the constructor without either."""

    def __init__(self, n):
        super().__init__(explicit=False)
        if n:
            self.shape = (n, n)
        self.dtype = np.dtype("float32")

    def _matvec(self, x):
        return 2 * x

    _rmatvec = _matvec


def test_a_shape_after_the_constructor():
    A = Late(3)
    assert (A.shape, A.dims, A.dtype) == ((3, 3), (3,), np.float32)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(A(x), 2 * x)
    assert gradcheck(lambda x: (A.H @ A + A)(x), (x,))
    B = Late(0)
    with pytest.raises(ValueError, match="Late has no shape: give dims"):
        B @ np.ones(1)
    with pytest.raises(ValueError, match="no shape"):
        B(torch.ones(()))
    B.dims = (2, 2)
    with pytest.raises(ValueError, match="no shape"):
        B @ np.ones((2, 2))
    B.dimsd = (4,)
    assert (B @ np.ones((2, 2))).shape == (4,)


class Template(pylops.LinearOperator, ABC):
    """A base class of another package: its subclasses say what is applied, and have an ``inverse`` of data."""

    def __init__(self, dims, dtype="complex128"):
        self.shapes = [[dims]]
        self.transform = np.fft.fft2
        self.norm = "ortho"  # what is a method of ours
        super().__init__(dtype=np.dtype(dtype), dims=dims, dimsd=(*dims,))

    @abstractmethod
    def back(self, y): ...

    def _matvec(self, x):
        return self.transform(x.reshape(self.dims), norm=self.norm).ravel()

    def _rmatvec(self, y):
        return self.back(y.reshape(self.dimsd)).ravel()

    def inverse(self, y):
        return self._rmatvec(y)


class Spectrum(Template):
    def back(self, y):
        return np.fft.ifft2(y, norm=self.norm)


def _apply(A):
    return A @ np.ones(24)


def test_what_other_packages_do():
    from scipy.sparse.linalg._interface import _get_dtype

    with pytest.raises(TypeError, match="abstract"):
        Template((4, 6))
    A = Spectrum((4, 6))
    x = np.random.default_rng(0).normal(size=24)
    for y in (A.inverse(A @ x), A.H @ (A @ x), (A.H * A) @ x, (A / (A @ x)).ravel()):
        np.testing.assert_allclose(y, x, atol=1e-10)
    assert A
    assert (A if A else None) is A
    assert _get_dtype([A, pylops.Identity(3, dtype="float32")]) == np.complex128
    B = sum([A, A])
    with ThreadPoolExecutor(2) as threads:
        for y in threads.map(_apply, [B, copy.copy(B), pickle.loads(pickle.dumps(B))]):
            np.testing.assert_allclose(y, 2 * (A @ np.ones(24)))
    with pytest.raises(ValueError, match="Spectrum"):
        A @ np.ones(23)


@pytest.mark.parametrize("method", ["matvec", "rmatvec", "matmat", "rmatmat"])
def test_a_product_that_would_not_be_called_is_refused(method):
    with pytest.raises(TypeError, match=f"Mine defines {method}, .* define _matvec"):
        type("Mine", (pylops.LinearOperator,), {method: lambda self, x: x})
