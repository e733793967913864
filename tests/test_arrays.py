"""Arrays in, the same kind of arrays out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchlops import Diagonal, FirstDerivative, Flip, LinearOperator, MatrixMult
from torchlops.arrays import as_tensor, complex_dtype, numpy_dtype, real_dtype, torch_dtype

MATRIX = np.random.default_rng(0).standard_normal((3, 4))


@pytest.fixture
def A() -> LinearOperator:
    return MatrixMult(MATRIX)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_numpy_in_numpy_out(A: LinearOperator, dtype: str) -> None:
    x = np.arange(8).reshape(2, 4).astype(dtype)
    y = A(x)
    assert isinstance(y, np.ndarray)
    assert y.dtype == np.result_type(MATRIX.dtype, x.dtype)
    np.testing.assert_allclose(y, x @ MATRIX.T, rtol=1e-6)
    np.testing.assert_allclose(Flip(4)(x), x[:, ::-1])
    assert Flip(4)(x).dtype == x.dtype


def test_integers_of_numpy_become_float64(A: LinearOperator) -> None:
    np.testing.assert_allclose(A @ np.array([1, 2, 3, 4]), MATRIX @ [1, 2, 3, 4])
    np.testing.assert_allclose(A @ np.array([True, False, False, True]), MATRIX @ [1, 0, 0, 1])


def test_layouts_of_numpy(A: LinearOperator) -> None:
    wide = np.arange(16.0).reshape(2, 8)
    np.testing.assert_allclose(A(wide[:, ::2]), wide[:, ::2] @ MATRIX.T)
    np.testing.assert_allclose(A(wide[:, ::-2]), wide[:, ::-2] @ MATRIX.T)
    frozen = np.arange(4.0)
    frozen.flags.writeable = False
    np.testing.assert_allclose(A(frozen), MATRIX @ frozen)
    np.testing.assert_allclose(A @ np.asfortranarray(np.ones((4, 5))), MATRIX @ np.ones((4, 5)))
    big_endian = np.arange(4.0).astype(">f8")
    np.testing.assert_allclose(A(big_endian), MATRIX @ np.arange(4.0))


def test_products_from_the_left(A: LinearOperator) -> None:
    y = np.arange(3.0)
    np.testing.assert_allclose(y @ A, y @ MATRIX)
    Y = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(Y @ A, Y @ MATRIX)
    torch.testing.assert_close(torch.from_numpy(Y) @ A, torch.from_numpy(Y @ MATRIX))
    assert isinstance(np.float64(2) * A, LinearOperator)
    assert isinstance(np.array(2.0) * A, LinearOperator)


def test_jax_in_jax_out(A: LinearOperator) -> None:
    jax = pytest.importorskip("jax")
    x = jax.numpy.arange(4.0)
    y = FirstDerivative(4)(x)
    assert isinstance(y, jax.Array)
    np.testing.assert_allclose(np.asarray(y), FirstDerivative(4)(np.arange(4.0, dtype=np.float32)))
    assert isinstance(A.H @ jax.numpy.ones(3), jax.Array)


def test_what_is_no_array_is_refused(A: LinearOperator) -> None:
    for wrong in ([1.0, 2.0, 3.0, 4.0], "four", None):
        with pytest.raises(TypeError, match="takes a torch tensor, a NumPy array or another DLPack array"):
            A(wrong)
    for wrong in (np.array(["a"] * 4), np.array([object()] * 4), np.ones(4, np.longdouble), np.ones(4, np.clongdouble)):
        with pytest.raises(TypeError, match="no torch counterpart"):
            A(wrong)


def test_numpy_has_no_gradient_and_leaves_no_graph() -> None:
    d = nn.Parameter(torch.ones(3, dtype=torch.float64))
    assert isinstance(Diagonal(d)(np.ones(3)), np.ndarray)


def test_bfloat16_comes_back_as_float32() -> None:
    A = Flip(3, dtype="bfloat16")
    assert A.dtype == np.float32
    assert A(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert A.todense().dtype == np.float32


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2], torch.float64),
        ([1.0, 2.0], torch.float64),
        (3, torch.float64),
        ([1j, 2], torch.complex128),
        (np.float32([1, 2]), torch.float32),
        (np.array([1, 2]), torch.float64),
        (torch.tensor([1, 2]), torch.float64),
        (torch.tensor([1.0]), torch.float32),
    ],
)
def test_numbers_of_the_user_become_tensors(value: object, dtype: torch.dtype) -> None:
    assert as_tensor(value, "h").dtype == dtype


def test_a_label_types_what_has_no_type_of_its_own() -> None:
    assert as_tensor([1, 2], "h", "float32").dtype == torch.float32
    assert as_tensor([1, 2], "h", "complex64").dtype == torch.complex64
    assert as_tensor([1j, 2], "h", "float32").dtype == torch.complex128  # nothing is dropped
    assert as_tensor(np.ones(2), "h", "float32").dtype == torch.float64
    with pytest.raises(TypeError, match="h must be an array of numbers"):
        as_tensor(object(), "h")


def test_tensors_of_the_user_stay_the_same() -> None:
    tensor = torch.ones(2)
    parameter = nn.Parameter(torch.ones(2))
    assert as_tensor(tensor, "h") is tensor
    assert as_tensor(parameter, "h") is parameter
    array = np.ones(2)
    shared = as_tensor(array, "h")
    array[0] = 7
    assert shared[0] == 7


def test_dtypes_have_names_in_both_worlds() -> None:
    for name in ("float16", "float32", "float64", "complex64", "complex128"):
        dtype = getattr(torch, name)
        assert torch_dtype(name) == torch_dtype(np.dtype(name)) == torch_dtype(dtype) == dtype
        assert numpy_dtype(dtype) == np.dtype(name)
    assert torch_dtype("bfloat16") == torch.bfloat16
    assert torch_dtype(complex) == torch.complex128
    assert real_dtype(torch.complex64) == torch.float32
    assert complex_dtype(torch.float64) == torch.complex128
    assert complex_dtype(torch.bfloat16) == torch.complex64


def test_a_dense_matrix_comes_with_its_graph_or_as_an_array() -> None:
    d = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    A = Diagonal(d)
    dense = A.todense("torch")
    assert isinstance(dense, Tensor)
    dense.sum().backward()
    assert torch.equal(d.grad, torch.ones(2, dtype=torch.float64))
    assert isinstance(A.todense(), np.ndarray)
    np.testing.assert_allclose(A.tosparse().toarray(), A.todense())
    with pytest.raises(ValueError, match="backend"):
        A.todense("cupy")


def test_an_axis_of_length_one_may_have_a_negative_stride():
    column = np.arange(9001.0)[:, None]
    backwards = column[:, ::-1]
    assert backwards.flags.c_contiguous
    A = FirstDerivative((9001, 1), axis=0)
    np.testing.assert_array_equal(A @ backwards, A @ column)
    np.testing.assert_array_equal(MatrixMult(np.ones((2, 9001))) @ backwards, [[column.sum()]] * 2)
