"""What PyLops's users read and set of operators: shapes, dtypes, counters, matrices, flat methods, pools."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import torchlops
from torchlops.attributes import COUNTERS

REAL = torch.float64
DIMS = (4, 6)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=REAL, generator=torch.Generator().manual_seed(0))


def operators() -> dict[str, torchlops.LinearOperator]:
    """Operators that count on their shapes in different ways: kernels, compositions, views, foreign ones."""
    from scipy.sparse.linalg import aslinearoperator

    D = torchlops.FirstDerivative(DIMS, axis=0)
    S = torchlops.Diagonal(nn.Parameter(random(*DIMS)))
    matrix = random(24, 24).numpy()
    return {
        "kernel": D,
        "fast kernel": torchlops.Smoothing2D(3, DIMS),
        "parameter": S,
        "sum": D + S,
        "product": D @ S,
        "adjoint": torchlops.CausalIntegration(DIMS, axis=0).H,
        "stack": torchlops.BlockDiag([torchlops.Flip(DIMS, axis=0), D]),
        "transform": torchlops.signalprocessing.FFT2D(DIMS, real=True),
        "foreign": torchlops.aslinearoperator(aslinearoperator(matrix)),
        "functions": torchlops.aslinearoperator((lambda x: x[::-1], lambda y: y[::-1]), dims=DIMS),
        "view": torchlops.aslinearoperator(D, dims=(2, 12)),
    }


NAMES = [
    "kernel", "fast kernel", "parameter", "sum", "product", "adjoint", "stack", "transform", "foreign", "functions",
    "view",
]  # fmt: skip


def other_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    size = int(np.prod(shape))
    return (size // 2, 2) if shape != (size // 2, 2) else (2, size // 2)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_may_be_set(name):
    A, B = operators()[name], operators()[name]
    dims, dimsd = other_shape(A.dims), other_shape(A.dimsd)
    B.dims, B.dimsd = dims, list(dimsd)
    assert (B.dims, B.dimsd, B.shape, B.dtype) == (dims, dimsd, A.shape, A.dtype)
    x, y = random(3, *A.dims), random(3, *A.dimsd)
    if A.dtype.kind == "c":
        y = y + 1j * y.flip(0)
    want, back = A(x).reshape(3, *dimsd), A.H(y).reshape(3, *dims)
    torch.testing.assert_close(B(x.reshape(3, *dims)), want)
    torch.testing.assert_close(B.H(y.reshape(3, *dimsd)), back)
    torch.testing.assert_close((2 * B).H(y.reshape(3, *dimsd)), 2 * back)
    torch.testing.assert_close((B @ B.H)(y.reshape(3, *dimsd)), A(A.H(y)).reshape(3, *dimsd))
    torch.testing.assert_close(torch.vmap(B)(x.reshape(3, *dims)), want)
    assert (B @ x[0].reshape(dims).numpy()).shape == dimsd
    assert (B @ x[0].flatten()).shape == (A.shape[0],)
    np.testing.assert_allclose(B.todense(), A.todense())
    for again in (copy.deepcopy(B), pickle.loads(pickle.dumps(B)) if name != "functions" else B):
        assert again.dims == dims
        torch.testing.assert_close(again(x.reshape(3, *dims)), want)


@pytest.mark.parametrize("name", ["kernel", "parameter", "product", "stack"])
def test_derivatives_of_an_operator_whose_shapes_were_set(name):
    A = operators()[name]
    A.dims, A.dimsd = other_shape(A.dims), other_shape(A.dimsd)
    x = random(2, *A.dims).requires_grad_()
    assert gradcheck(A, (x,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(A, (x,))


def test_an_operator_whose_shapes_were_set_compiles():
    A = torchlops.Diagonal(nn.Parameter(random(4, 6)))
    A.dims = A.dimsd = 24
    compiled = torch.compile(
        lambda x: torch.func.grad(lambda x: A(x).square().sum())(x), backend="aot_eager", fullgraph=True
    )
    x = random(24)
    torch.testing.assert_close(compiled(x), 2 * A.diag.detach().flatten() ** 2 * x)


def test_an_operator_whose_shapes_were_set_keeps_its_tensors_and_attributes():
    weights = nn.Parameter(random(4, 6))
    A = torchlops.Diagonal(weights, name="W")
    A.dims = 24
    assert A.name == "W"
    assert "Diagonal 'W'" in A.name_and_type
    assert A.diag is weights
    assert [*A.parameters()] == [weights]
    A.double().to(torch.float32)
    assert A(torch.ones(24)).dtype == torch.float32
    A(torch.ones(24)).sum().backward()
    assert weights.grad is not None
    torch.testing.assert_close((A / A(torch.ones(24))), torch.ones(24))


def test_shapes_of_another_size_are_refused():
    A = torchlops.FirstDerivative(12)
    with pytest.raises(ValueError, match=r"dims of FirstDerivative cannot be \(3, 5\).*12 samples"):
        A.dims = (3, 5)
    with pytest.raises(ValueError, match="dimsd"):
        A.dimsd = 13
    with pytest.raises(ValueError, match="samples"):
        A.shape = (12, 13)
    A.shape = (12, 12)
    assert A.dims == A.dimsd == (12,)
    assert isinstance(A, torchlops.FirstDerivative)  # nothing has changed


def test_a_view_from_before_says_that_the_shapes_were_set():
    A = torchlops.FirstDerivative((3, 4))
    B = A.H
    A.dims = A.dimsd = (12,)
    with pytest.raises(ValueError, match="set"):
        B(random(3, 4))


@pytest.mark.parametrize("dtype", ["int64", "float32", "complex64"])
def test_dtype_may_be_set(dtype):
    A = torchlops.FirstDerivative(4) @ torchlops.Diagonal(random(4))
    A.dtype = dtype
    assert A.dtype == np.dtype(dtype)
    assert (A @ np.ones(4)).dtype == np.float64  # a label: nothing is cast
    A.to(torch.float64)
    assert A.dtype == {"int64": np.int64, "float32": np.float64, "complex64": np.complex128}[dtype]


def test_integers_as_dtype():
    A = torchlops.Identity(3, dtype="int32")
    assert A.dtype == np.int32
    assert (2 * A).dtype == np.int32
    np.testing.assert_array_equal(A.todense(), np.eye(3))
    assert torchlops.dottest(A)


def test_counters():
    A = torchlops.MatrixMult(np.ones((3, 2)))
    state = A.state_dict()
    for _ in range(2):
        A.matvec(np.ones(2))
    A @ torch.ones(2)
    A.dot(np.ones(2))
    A.rmatvec(np.ones(3))
    A.matmat(np.ones((2, 5)))
    A @ np.ones((2, 5))
    A.rmatmat(np.ones((3, 5)))
    assert (A.matvec_count, A.rmatvec_count, A.matmat_count, A.rmatmat_count) == (4, 1, 2, 1)
    for again in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        assert again.matvec_count == 4
    A.reset_count()
    assert (A.matvec_count, A.rmatvec_count, A.matmat_count, A.rmatmat_count) == (0, 0, 0, 0)
    assert A.state_dict().keys() == state.keys()


def test_what_is_not_counted():
    A = torchlops.Diagonal(random(3).abs() + 1)
    before = dict(vars(A))
    A(torch.ones(3))
    torch.compile(A.matvec, backend="aot_eager", fullgraph=True)(random(3))
    assert vars(A) == before


def test_compositions_views_and_solvers_count_their_parts():
    A, B = torchlops.Diagonal(random(3).abs() + 1), torchlops.MatrixMult(random(3, 3))
    (2 * A.H @ B + A) @ np.ones(3)
    B.T.matvec(np.ones(3))
    (A.H @ np.ones((3, 5)))
    assert (A.matvec_count, A.rmatvec_count, A.rmatmat_count) == (1, 1, 1)
    assert (B.matvec_count, B.rmatvec_count) == (1, 1)
    for op in (A, B):
        op.reset_count()
    torchlops.cgls(A @ B, random(3), niter=3, tol=0)
    torchlops.cgls(B, random(5, 3), niter=3, tol=0)
    assert (A.matvec_count, A.rmatvec_count) == (3, 4)
    assert [getattr(B, counter) for counter in COUNTERS] == [3, 4, 3, 4]


def test_scipy_is_counted():
    from scipy.sparse.linalg import cg

    A = torchlops.Diagonal(random(3).abs() + 1)
    cg(A, np.ones(3), rtol=1e-12)
    assert 1 < A.matvec_count < 10


def test_flat_methods():
    A = torchlops.Sum((2, 3))
    np.testing.assert_array_equal(A._matvec(np.ones(6)), [3, 3])
    np.testing.assert_array_equal(A._rmatvec(np.ones(2)), np.ones(6))
    x = torch.ones(6, requires_grad=True)
    A._matvec(x).sum().backward()
    assert x.grad.tolist() == [1] * 6
    assert A.matvec_count == 0


@pytest.mark.parametrize("disabled", [False, True])
def test_forceflat_and_the_multiplication_with_arrays(disabled):
    A = torchlops.Sum((2, 3), forceflat=None if disabled else True)
    x = np.ones((2, 3))
    assert (torchlops.Sum((2, 3)).H @ np.ones(2)).shape == (2, 3)
    if not disabled:
        assert (A.H @ np.ones(2)).shape == (6,)
        assert (A.H @ (A @ x)).shape == ((A.H @ A) @ x).shape == (6,)
        assert (A @ np.ones((2, 3, 4))).shape == (2, 4)
        assert A(x).shape == (2,)
        assert A.H(np.ones(2)).shape == (2, 3)
        return
    with torchlops.disabled_ndarray_multiplication():
        assert not torchlops.get_ndarray_multiplication()
        assert (A.H @ np.ones(2)).shape == (6,)
        assert (A @ np.ones((6, 4))).shape == (2, 4)
        for array in (x, np.ones((2, 3, 4))):
            with pytest.raises(ValueError, match="only be applied to 1D"):
                A @ array
        assert A(x).shape == (2,)
        with torchlops.enabled_ndarray_multiplication():
            assert (A @ x).shape == (2,)
    assert torchlops.get_ndarray_multiplication()


def test_the_multiplication_with_arrays_is_switched_for_one_thread():
    with ThreadPoolExecutor(1) as other, torchlops.disabled_ndarray_multiplication():
        assert other.submit(torchlops.get_ndarray_multiplication).result(timeout=60)
        torchlops.set_ndarray_multiplication(True)
        assert torchlops.get_ndarray_multiplication()
    torchlops.set_ndarray_multiplication(False)
    try:
        with ThreadPoolExecutor(1) as other:
            assert not other.submit(torchlops.get_ndarray_multiplication).result(timeout=60)
    finally:
        torchlops.set_ndarray_multiplication(True)


def test_forceflat_of_compositions():
    flat, other, open_ = (torchlops.Sum((2, 3), forceflat=forceflat) for forceflat in (True, False, None))
    assert (flat @ open_.H).forceflat is True
    assert (other @ open_.H).forceflat is False
    assert (open_ @ open_.H).forceflat is None
    assert (flat + open_).forceflat is True
    for compose in (lambda: flat @ other.H, lambda: flat + other):
        with pytest.raises(ValueError, match="conflicting forceflat"):
            compose()


def test_a_matrix_in_the_kind_that_was_given():
    import scipy.sparse

    matrix = random(3, 2).numpy()
    A = torchlops.MatrixMult(matrix)
    assert isinstance(A.A, np.ndarray)
    assert np.shares_memory(A.A, matrix)
    assert A.explicit
    assert list(A.state_dict()) == ["matrix"]
    weights = nn.Parameter(random(3, 2))
    B = torchlops.MatrixMult(weights)
    assert B.A is B.matrix is weights
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix, scipy.sparse.lil_matrix):
        C = torchlops.MatrixMult(kind(matrix))
        assert type(C.A) is kind
        np.testing.assert_array_equal(C.A.toarray(), matrix)
        assert "values" in C.state_dict()
    assert isinstance(torchlops.MatrixMult(matrix).float().A, np.ndarray)
    pickle.loads(pickle.dumps(C)).A.toarray()


def test_samples_in_the_kind_that_was_given():
    for given in ([2, 0, -1], np.array([2, 0, 3])):
        A = torchlops.Restriction(4, given)
        assert isinstance(A.iava, np.ndarray)
        assert (A.iava.size, A.iava.tolist()) == (3, [2, 0, 3])
        x = np.arange(4.0)
        np.testing.assert_array_equal(x[A.iava], A @ x)
        assert pickle.loads(pickle.dumps(A)).iava.tolist() == [2, 0, 3]
    B = torchlops.Restriction(4, torch.tensor([2, 0, 3]))
    assert B.iava is B.indices
    assert list(B.state_dict()) == ["indices"]
    assert torchlops.Restriction(3, np.array([True, False, True])).iava.tolist() == [0, 2]


def test_sizes_of_stacks():
    tall, wide = np.ones((2, 3)), np.ones((3, 2))
    V = torchlops.VStack([torchlops.Identity(3), tall])
    assert (V.nops, V.mops, V.nnops.tolist()) == (5, 3, [0, 3, 5])
    H = torchlops.HStack([torchlops.Identity(3), wide])
    assert (H.nops, H.mops, H.mmops.tolist()) == (3, 5, [0, 3, 5])
    D = torchlops.BlockDiag([torchlops.Identity(3), tall])
    assert (D.nops, D.mops, D.nnops.tolist(), D.mmops.tolist()) == (5, 6, [0, 3, 5], [0, 3, 6])


def test_pools_of_stacks():
    stacks = [
        kind([torchlops.Identity(2)] * 2, nproc=2) for kind in (torchlops.VStack, torchlops.HStack, torchlops.BlockDiag)
    ]
    stacks.append(torchlops.Block([[torchlops.Identity(2)] * 2] * 2, nproc=2))
    for A in stacks:
        assert "no pool" in str(A.pool)
        A.pool.close()
        A.pool.join()
        A.close()
        pickle.dumps(A)
    stacks[-1].Op.close()


def test_top():
    A = torchlops.TorchOperator(torchlops.MatrixMult(random(3, 2)))
    x, y = random(2).requires_grad_(), random(3).requires_grad_()
    assert gradcheck(A.Top, (x, A.matvec, A.rmatvec, A.device, "cpu"))
    torch.testing.assert_close(A.Top(y, A.rmatvec, A.matvec, A.device, "cpu"), A.H(y))
    with pytest.raises(ValueError, match="use TorchOperator"):
        A.Top(x, torch.sin, torch.cos, "cpu", "cpu")
    with pytest.raises(ValueError, match="give it to TorchOperator"):
        A.Top(x, A.matvec, A.rmatvec, "meta", "cpu")
