"""What PyLops's users read and set of operators: shapes, dtypes, counters, matrices, flat methods, pools."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

import torchlops
from tests.every_operator.cases import CASES
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


# -- tensors that are set --------------------------------------------------------------------------------------------


def tensors_of(A: torchlops.LinearOperator) -> list[tuple[torchlops.LinearOperator, str]]:
    """Return the operators in ``A`` with the names of the tensors that a user gave them."""
    parts = [part for part in A.modules() if isinstance(part, torchlops.LinearOperator)]
    return [
        (part, name)
        for part in parts
        for name in dict.fromkeys((*part._tensor_names, *part._constant_names))
        if part._held(name) is not None
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("case", "learns"),
    [(case, learns) for case in CASES for learns in (False, True) if case.tensors or not learns],
    ids=lambda value: getattr(value, "name", "learns" if value else "constant"),
)
def test_an_array_may_be_assigned_to_a_tensor(case, learns):
    A = case.make(*(nn.Parameter(tensor.clone()) if learns else tensor.clone() for tensor in case.tensors))
    x = random(*A.dims)
    before, state = A(x), A.state_dict()
    parameters = [name for name, _ in A.named_parameters()]
    for part, name in tensors_of(A):
        values = part._held(name).detach().numpy().copy()
        if name in part._fixed_names:
            with pytest.raises(AttributeError, match=f"{name} .*uild a new"):
                setattr(part, name, values)
            continue
        setattr(part, name, values)
        assert part._held(name).detach().numpy().tobytes() == values.tobytes()
        with pytest.raises(ValueError, match=rf"{type(part).__name__}.*{name}.*\(9, 8, 7, 6, 5, 4, 3\)"):
            setattr(part, name, np.ones((9, 8, 7, 6, 5, 4, 3)))
    torch.testing.assert_close(A(x), before)
    assert list(A.state_dict()) == list(state)
    assert [name for name, _ in A.named_parameters()] == parameters
    torch.testing.assert_close(copy.deepcopy(A)(x), before)


def test_what_may_be_assigned_to_a_diagonal():
    D = torchlops.Diagonal(np.arange(6.0).reshape(2, 3), dims=(2, 3), axis=0)
    x = np.ones((2, 3))
    for given, wanted in (
        (2, 2 * x), (np.float32(2), 2 * x), ([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]),
        ([1, 2], [[1] * 3, [2] * 3]), (np.ones((1, 3)), x), (torch.full((2, 1), 3), 3 * x),
    ):  # fmt: skip
        D.diag = given
        np.testing.assert_array_equal(D @ x, wanted)
        np.testing.assert_array_equal(D(torch.ones(2, 3)), wanted)
    assert list(D.state_dict()) == ["diag"]
    with pytest.raises(ValueError, match=r"Diagonal 'D': diag of shape \(4,\) does not fit dims=\(2, 3\)"):
        D.diag = np.ones(4)
    np.testing.assert_array_equal(D @ x, 3 * x)
    with pytest.raises(TypeError, match="diag must be an array of numbers"):
        D.diag = "two"
    D.dims = D.dimsd = 6
    D.diag = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(D @ np.ones(6), np.arange(6))


def test_an_assigned_array_stays_on_the_device_and_is_trained():
    D = torchlops.Diagonal(nn.Parameter(torch.ones(3)))
    array = np.arange(3.0)
    D.diag = array
    assert isinstance(D.diag, nn.Parameter)
    assert D.diag.dtype == torch.float64
    with torch.no_grad():
        D.diag.add_(1)
    assert array.tolist() == [0, 1, 2]
    D.diag.requires_grad_(False)
    D.diag = array
    assert not D.diag.requires_grad
    D.to("meta").diag = array
    assert D.diag.device.type == "meta"
    with pytest.raises(TypeError, match="cannot assign"):  # of torch: a tensor is no parameter
        D.diag = torch.ones(3)
    E = torchlops.exclude_from_state_dict(torchlops.Diagonal(array))
    E.diag = 2 * array
    assert not E.state_dict()
    E.diag = nn.Parameter(torch.ones(3))
    assert list(E.state_dict()) == ["diag"]


def test_a_tensor_of_another_shape_is_refused_where_it_is_assigned():
    C = torchlops.signalprocessing.Convolve1D(5, np.ones(3))
    for wrong in (torch.ones(3, 3), np.ones(4), 2.0, nn.Parameter(torch.ones(1, 3))):
        with pytest.raises(ValueError, match=r"Convolve1D 'C': h is of shape \(3,\)"):
            C.h = wrong
    C.h = np.full((1, 3), 2)  # but for axes of one sample
    assert C.h.tolist() == [2, 2, 2]


def test_a_matrix_is_assigned_by_either_name():
    M = torchlops.MatrixMult(np.eye(2))
    M.A = nn.Parameter(2 * torch.eye(2))
    assert [name for name, _ in M.named_parameters()] == ["matrix"]
    assert M.A is M.matrix
    M.matrix = np.ones((2, 2))
    M.A = 3 * np.ones((2, 2))
    assert isinstance(M.matrix, nn.Parameter)
    np.testing.assert_array_equal(M @ np.ones(2), [6, 6])
    with pytest.raises(ValueError, match="build a new MatrixMult"):
        M.A = np.ones((2, 3))
    M.shape = (2, 2)
    M.dims = M.dimsd = (2, 1)
    M.A = np.eye(2)
    np.testing.assert_array_equal(M @ np.ones(2), [1, 1])


def test_tensors_of_views_and_compositions_are_assigned_to_their_operator():
    S = torchlops.SecondDirectionalDerivative((4, 5), np.array([1.0, 0.0]))
    S.v = [0.0, 1.0]
    x = random(4, 5)
    torch.testing.assert_close(S(x), torchlops.SecondDirectionalDerivative((4, 5), np.array([0.0, 1.0]))(x))
    D = torchlops.Diagonal(np.ones(3))
    A = 2 * D.H @ D
    D.diag = np.full(3, 2.0)
    assert (A @ np.ones(3)).tolist() == [8, 8, 8]
    with pytest.raises(AttributeError, match=r"Restriction 'R': iava cannot be set.*build a new"):
        torchlops.Restriction(4, [1, 2]).iava = [0, 1]


def test_constants_are_no_parameters():
    R = torchlops.Regression(np.arange(3.0), order=1)
    R.taxis = range(3, 6)
    assert (R @ np.array([0.0, 1.0])).tolist() == [3, 4, 5]
    assert not R.state_dict()
    with pytest.raises(AttributeError, match="is constant"):
        R.taxis = nn.Parameter(torch.ones(3))


def test_inverse_of_a_matrix_in_the_kind_that_was_given():
    matrix = np.array([[2.0, 1.0], [0.0, 1.0]])
    inverse = torchlops.MatrixMult(matrix).inv()
    assert isinstance(inverse, np.ndarray)
    np.testing.assert_allclose(inverse @ matrix, np.eye(2))
    assert isinstance(torchlops.MatrixMult(torch.from_numpy(matrix)).inv(), torch.Tensor)


# -- messages --------------------------------------------------------------------------------------------------------


def test_messages_name_what_was_set_and_the_class_of_the_user():
    M = torchlops.MatrixMult(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"shape of MatrixMult cannot be \(2, 2\).*dims is \(4,\)"):
        M.shape = (2, 2)
    M.dims = (2, 2)
    with pytest.raises(ValueError, match=r"dims of MatrixMult cannot be \(5,\)"):
        M.dims = 5
    with pytest.raises(ValueError, match="shape of MatrixMult"):
        M.shape = (2, 2)


def test_a_list_of_parameters_is_no_diagonal():
    with pytest.raises(TypeError, match=r"torch\.stack"):
        torchlops.Diagonal([nn.Parameter(torch.ones(()))] * 2)


def test_methods_have_the_argument_names_of_pylops():
    A = torchlops.MatrixMult(np.ones((3, 2)))
    assert A.rmatvec(x=np.ones(3)).shape == (2,)
    assert A.matmat(X=np.ones((2, 4))).shape == (3, 4)
    assert A.rmatmat(X=np.ones((3, 4))).shape == (2, 4)
    S = torchlops.signalprocessing.Seislet(np.zeros((4, 3)))
    assert S.inverse(x=np.ones(12)).shape == (12,)


def test_a_constructor_in_the_order_of_pylops():
    class Twice(torchlops.LinearOperator):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)

        def _matvec(self, x):
            return 2 * x

        _rmatvec = _matvec

    for A in (
        Twice(None, np.dtype("f4"), (3, 3)),
        Twice(None, "float32", (3, 3)),
        Twice(torchlops.Identity(3), "float32"),
        Twice(None, "float32", shape=(3, 3), name="T"),
    ):
        assert A.dtype == np.float32
        assert A.shape == (3, 3)
        np.testing.assert_array_equal(A @ np.ones(3), [2, 2, 2])
    assert Twice(None, None, (3, 3)).shape == (3, 3)
    for arguments in ((4, "float32"), (None, "float32", 3), (None, "float32", (3, 3), (3,))):
        with pytest.raises(TypeError, match="Name them"):
            Twice(*arguments)


@pytest.mark.parametrize(
    ("build", "hint"),
    [
        (lambda: torchlops.FirstDerivative(N=5), "'N'.*dims"),
        (lambda: torchlops.Smoothing1D(3, (4, 5), dir=0), "'dir'.*axis"),
        (lambda: torchlops.FirstDerivative(5, nodir=1), "'nodir'.*axis"),
    ],
)
def test_arguments_of_pylops_1(build, hint):
    with pytest.raises(TypeError, match=hint):
        build()
    torchlops.Identity(N=3, M=2)


# -- the attributes that PyLops documents ----------------------------------------------------------------------------

ENGINE = "of an engine of PyLops"
OPTION = "an option that has no effect"
FROM_END = "axes are counted from the end"
LEARNS = "a tensor, which may learn"
FILTER = "PyLops pads filters to odd lengths and gives them all axes of the model"
DIFFERENT = {
    **dict.fromkeys(("convolve", "correlate", "predict", "kwargs_cuda", "kwargs_fftw"), ENGINE),
    **dict.fromkeys(("inplace", "nproc", "inoutengine", "parallel_kind", "usematmul", "workers", "pool"), OPTION),
    **dict.fromkeys(("axis", "axes"), FROM_END),
    **dict.fromkeys(("diag", "h", "hs", "hsinterp", "inp", "G", "slopes", "v", "taps"), LEARNS),
    **dict.fromkeys(("Convolve2D.nh", "ConvolveND.nh", "Convolve2D.offset", "ConvolveND.offset"), FILTER),
    **dict.fromkeys(("Convolve2D.method", "ConvolveND.method"), "None is the fastest one"),
    **dict.fromkeys(("norm", "type"), "methods of operators and of modules"),
    "scalings": "None where they are all 1",
    "sampling": "one step per axis",
    "Spread.table": "indices as integers, -1 where there is none",
    "Spread.dtable": "absent where the curves have no weights",
    "forceflat": "None, which is flat for flat models only",
    **dict.fromkeys(("haxis", "hxaxis", "hyaxis"), "PyLops has their squares for parabolas"),
    "NonStationaryConvolve3D.ehx": "PyLops has ehy under this name",
    **dict.fromkeys(
        ("SincInterpolation.complex", "SincInterpolation.dimsflatten", "SincInterpolation.dimsdflatten",
         "SincInterpolation.reshape", "SincInterpolation.otherdims", "SincInterpolation.A"), "of a matrix",
    ),
    "ChirpRadon3D.pmax": "an engine of PyLops swaps the two",
    "UDCT.transform": "an object of another package",
    "ToDevice.mode": "PyLops's twin is an Identity",
    **dict.fromkeys(("BlendingContinuous.PadOp", "BlendingContinuous.ShiftOps"), "all shots are shifted at once"),
    **dict.fromkeys(("Kirchhoff.aperture", "Kirchhoff.angleaperture"), "None where there is no limit"),
    **dict.fromkeys(("Kirchhoff.six", "Kirchhoff.rix"), "apertures measure lengths, not samples"),
    "Kirchhoff.wav": LEARNS,
    "CT2D.dtype": "PyLops's twin says that ASTRA computes in float32",
    "Kirchhoff.vel": "the velocity that was given, not repeated for all points",
}  # fmt: skip
"""Attributes that differ from PyLops's, each with the reason, which docs/coming_from_pylops.md explains."""

KINDS = {
    "tensor": Tensor,
    "array": np.ndarray | tuple | list,
    "number": bool | int | float | complex | np.generic,
    "text": str | np.dtype,
    "none": type(None),
}


def documented(kind: type) -> set[str]:
    """Return the names in the section Attributes of a docstring of PyLops."""
    found = re.search(
        r"^Attributes\n-+\n(.*?)(?=\n\w+\n-{3,}|\Z)", inspect.getdoc(kind) or "", re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^(\w+(?:, \w+)*) ?:", found[1], re.MULTILINE) if found else []
    return {name for row in rows for name in row.split(", ")}


def kind_of(value: object) -> str:
    """Return the kind of an attribute, where a sequence is as good as an array."""
    if getattr(value, "ndim", None) == 0 and isinstance(value, np.ndarray):
        return "number"
    return "operator" if hasattr(value, "matvec") else next((k for k, t in KINDS.items() if isinstance(value, t)), "?")


def is_equal(ours: object, theirs: object) -> bool:
    """Whether two attributes are of the same kind and value."""
    kind = kind_of(theirs)
    if kind_of(ours) != kind:
        return False
    if kind == "operator":
        return np.allclose(ours.todense(), theirs.matmat(np.eye(theirs.shape[1])))
    if kind == "text":
        return str(ours) == str(theirs)
    if kind == "array" and not isinstance(theirs, np.ndarray) and any(kind_of(v) != "number" for v in theirs):
        return len(ours) == len(theirs) and all(map(is_equal, ours, theirs))
    if kind in ("array", "number"):
        return np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, equal_nan=True)
    return True if hasattr(theirs, "tocsr") else kind == "none" or ours == theirs


def pairs() -> list[tuple[str, torchlops.LinearOperator, object]]:
    """Return the operators of the cases on which PyLops is right, built from arrays on both sides."""
    import pylops

    found = []
    for case in CASES:
        if case.oracle is not True or case.class_name == "FunctionOperator":
            continue
        try:
            theirs = case.make_pylops(pylops)
        except NotImplementedError:  # it needs a package that is not there
            continue
        ours = case.build(torchlops, *(tensor.numpy() for tensor in case.tensors))
        ours, theirs = (A[0] if isinstance(A, tuple) else A for A in (ours, theirs))
        found.append((case.class_name, ours, theirs))
    return found


@pytest.mark.filterwarnings("ignore")
def test_attributes_are_those_of_pylops():
    """What PyLops documents, and the arguments that it keeps, are here in the same kind and of the same value."""
    pylops = pytest.importorskip("pylops")
    places = (
        pylops,
        pylops.basicoperators,
        pylops.signalprocessing,
        pylops.avo,
        pylops.waveeqprocessing,
        pylops.medical,
    )
    compared, differ = set(), {}
    for name, ours, theirs in pairs():
        if any(inspect.isfunction(getattr(place, name, None)) for place in (pylops.avo, pylops.waveeqprocessing)):
            continue  # it composes operators, whose attributes are those of the parts
        public = next((getattr(place, name) for place in places if hasattr(place, name)), type(theirs))
        names = set().union(*map(documented, (public, *type(theirs).__mro__)), inspect.signature(public).parameters)
        for attribute in names - {"name"}:
            if hasattr(theirs, attribute):
                compared.add((name, attribute))
                if not hasattr(ours, attribute) or not is_equal(getattr(ours, attribute), getattr(theirs, attribute)):
                    differ[f"{name}.{attribute}"] = attribute
    assert len(compared) > 400
    unexplained = {key: name for key, name in differ.items() if key not in DIFFERENT and name not in DIFFERENT}
    assert not unexplained
    assert {*DIFFERENT} <= {*differ, *differ.values()}, "these do not differ any more"


def test_attributes_of_views_and_compositions():
    """Undocumented, but used: the parts of what the algebra makes, and operators that others are made of."""
    pylops = pytest.importorskip("pylops")
    matrix, x = random(3, 3).numpy(), np.arange(20.0)
    for make in (
        lambda p: p.MatrixMult(matrix).H.A,
        lambda p: p.MatrixMult(matrix).T.A,
        lambda p: p.MatrixMult(matrix).conj().Op,
        lambda p: p.MatrixMult(matrix).toreal().Op,
        lambda p: p.MatrixMult(matrix).apply_columns([1, 2]).Op,
        lambda p: p.MemoizeOperator(p.MatrixMult(matrix), 3).Op,
        lambda p: (p.MatrixMult(matrix) + p.Diagonal(np.arange(3.0))).args[1],
        lambda p: (p.MatrixMult(matrix) @ p.Diagonal(np.arange(3.0))).args[0],
        lambda p: (2 * p.MatrixMult(matrix)).args[0],
        lambda p: (p.MatrixMult(matrix) ** 2).args[0],
        lambda p: p.Gradient((4, 5), sampling=(1.0, 2.0), kind="forward").Op,
        lambda p: p.Laplacian((4, 5), weights=(1.0, 3.0), sampling=(1.0, 2.0)).Op,
        lambda p: p.FirstDirectionalDerivative((4, 5), np.array([1.0, 2.0])).Op,
        lambda p: p.FirstDirectionalDerivative((4, 5), np.stack((x, x + 1)).reshape(2, 4, 5)).Op,
        lambda p: p.SecondDirectionalDerivative((4, 5), np.array([1.0, 2.0])).Op,
    ):
        np.testing.assert_allclose(make(torchlops).todense(), make(pylops).todense(), atol=1e-12)
    A = torchlops.MatrixMult(matrix)
    assert ((2 * A).args[1], (A**3).args[1], A.apply_columns([1, 2]).cols) == (2, 3, [1, 2])
    part = A.toreal(forw=False)
    assert (part.forw, part.adj, part.real, A.toimag().real) == (False, True, True, False)
    stores = []
    for p in (torchlops, pylops):
        M = p.MemoizeOperator(p.MatrixMult(matrix), 3)
        M.matvec(np.ones(3))
        M.rmatvec(np.arange(3.0))
        stores.append(M.store)
    for ours, theirs in zip(*stores, strict=True):
        for array, wanted in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(array.ravel(), wanted)
    F = torchlops.FunctionOperator(np.sin, np.cos, 3)
    assert (F.f, F.fc) == (np.sin, np.cos)
    assert torchlops.FunctionOperator(np.sin, 3).fc is None


def test_axes_that_learn_are_tensors():
    axes = (np.arange(4.0), np.arange(3.0), np.arange(2.0))
    R = torchlops.signalprocessing.FourierRadon2D(*axes, nfft=8)
    assert all(isinstance(array, np.ndarray) for array in (R.taxis, R.haxis, R.pxaxis, R.px, R.f))
    assert isinstance(R.double().haxis, np.ndarray)
    with pytest.raises(AttributeError, match="hxaxis"):
        R.hxaxis  # noqa: B018
    taxis, haxis, pxaxis = (nn.Parameter(torch.from_numpy(axis)) for axis in axes)
    L = torchlops.signalprocessing.FourierRadon2D(taxis, haxis, pxaxis, nfft=8)
    assert L.taxis is taxis
    assert L.px is pxaxis
    assert L.f.requires_grad
    assert list(L.state_dict()) == ["taxis", "haxis", "pxaxis"]
    R.haxis = 2 * axes[1]
    L.haxis = 2 * axes[1]
    x = random(2, 4)
    torch.testing.assert_close(R(x), L(x))
    torch.testing.assert_close(
        torch.func.functional_call(L, {"haxis": torch.from_numpy(axes[1])}, (x,)),
        torchlops.signalprocessing.FourierRadon2D(*axes, nfft=8)(x),
    )
    for again in (copy.deepcopy(R), pickle.loads(pickle.dumps(R))):
        np.testing.assert_array_equal(again.haxis, 2 * axes[1])


def test_a_computed_attribute_may_be_set():
    class Mine(torchlops.Gradient):
        def __init__(self, dims):
            super().__init__(dims)
            self.Op = torchlops.Identity(3)
            self.nt = 7

    A = Mine((4, 5))
    assert A.Op.shape == (3, 3)
    A = torchlops.signalprocessing.ChirpRadon2D(np.arange(4.0), np.arange(3.0), 1.0)
    assert (A.nt, A.nh, A.dt, A.pmax) == (4, 3, 1.0, 1.0)
    A.nt = 7
    assert pickle.loads(pickle.dumps(A)).nt == 7


def test_options_cannot_be_set_afterwards():
    A = torchlops.FirstDerivative((4, 6), axis=0)
    for name, value in {"axis": 1, "sampling": 2.0, "edge": True}.items():
        with pytest.raises(AttributeError, match=f"FirstDerivative.*: {name} is an option"):
            setattr(A, name, value)
    with pytest.raises(AttributeError, match="matvec cannot be replaced"):
        A.matvec = lambda x: x
    reshaped = torchlops.FirstDerivative((4, 6), axis=0)
    reshaped.dims = reshaped.dimsd = (24,)
    with pytest.raises(AttributeError, match=r"FirstDerivative.*: sampling is an option"):
        reshaped.sampling = 2.0
    reshaped.note = "mine"
    A.name, A.forceflat, A.note = "D", True, "mine"
    assert (A.H @ np.ones(24)).shape == (24,)

    class Mine(torchlops.LinearOperator):
        def __init__(self, axis):
            super().__init__((4, 6))
            self.axis = axis

        def _forward(self, x):
            return x.flip(self.axis)

    mine = Mine(-1)
    mine.axis = -2
    np.testing.assert_array_equal(mine(np.eye(4, 6)), np.eye(4, 6)[::-1])


def test_data_parallel_says_what_it_cannot():
    A = torchlops.Diagonal(nn.Parameter(random(3)))
    with pytest.raises(NotImplementedError, match="DistributedDataParallel"):
        (2 * A)._replicate_for_data_parallel()
