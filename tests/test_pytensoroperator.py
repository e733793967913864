"""PyTensorOperator: values, gradients of any order, shapes and types in PyTensor's graphs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import torchlops
from torchlops import LinearOperator, MatrixMult, PyTensorOperator
from torchlops.signalprocessing import FFT

pytensor = pytest.importorskip("pytensor")
pt = pytensor.tensor

pytestmark = pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
QUICK = "FAST_COMPILE"  # no compiler: a test would spend its time there


def _numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _complex(*shape, seed=0):
    return _numbers(*shape, seed=seed) + 1j * _numbers(*shape, seed=seed + 1)


def _evaluate(output, **inputs):
    names, variables = zip(*((name, variable) for name, (variable, _) in inputs.items()), strict=True)
    function = pytensor.function(variables, output, mode=QUICK)
    return function(*(inputs[name][1] for name in names))


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3)])
def test_values_and_gradients(shape):
    A = MatrixMult(_numbers(*shape))
    x = _numbers(shape[1])
    operation = PyTensorOperator(A)
    variable = pt.dvector("x")
    np.testing.assert_array_equal(_evaluate(operation(variable), x=(variable, x)), A @ x)
    pytensor.gradient.verify_grad(operation, (x,), rng=np.random.default_rng(0), mode=QUICK)


def test_derivatives_of_any_order():
    A = MatrixMult(_numbers(3, 4))
    M = A.todense()
    x, v = _numbers(4), _numbers(4, seed=1)
    variable = pt.dvector("x")
    loss = (PyTensorOperator(A)(variable) ** 3).sum()
    gradient = pytensor.grad(loss, variable)
    product = pytensor.grad((gradient * v).sum(), variable)
    third = pytensor.grad((product * v).sum(), variable)
    got = _evaluate([gradient, product, third], x=(variable, x))
    expected = [M.T @ (3 * (M @ x) ** 2), M.T @ (6 * (M @ x) * (M @ v)), M.T @ (6 * (M @ v) ** 2)]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b)
    hessian = pytensor.gradient.hessian(loss, variable)
    np.testing.assert_allclose(_evaluate(hessian, x=(variable, x)), M.T @ np.diag(6 * M @ x) @ M)


def test_forward_mode():
    A = MatrixMult(_numbers(3, 4))
    x, v = _numbers(4), _numbers(4, seed=1)
    variable = pt.dvector("x")
    out = PyTensorOperator(A)(variable) ** 2
    if hasattr(pytensor.gradient, "pushforward"):
        tangent = pytensor.gradient.pushforward(out, variable, pt.as_tensor_variable(v), use_op_pushforward=True)
    else:  # before PyTensor 3
        tangent = pytensor.gradient.Rop(out, variable, pt.as_tensor_variable(v), use_op_rop_implementation=True)
    np.testing.assert_allclose(_evaluate(tangent, x=(variable, x)), 2 * (A @ x) * (A @ v))


def test_operators_of_the_same_shape_are_not_taken_for_each_other():
    A, B = MatrixMult(_numbers(3, 3)), MatrixMult(_numbers(3, 3, seed=1))
    x = _numbers(3)
    variable = pt.dvector("x")
    difference = PyTensorOperator(A)(variable) - PyTensorOperator(B)(variable)
    function = pytensor.function([variable], difference, mode=pytensor.compile.mode.Mode("py", "fast_run"))
    np.testing.assert_allclose(function(x), A @ x - B @ x)
    assert PyTensorOperator(A) == PyTensorOperator(A) != PyTensorOperator(B)
    assert PyTensorOperator(A).adjoint.adjoint == PyTensorOperator(A)


def test_shapes():
    A = torchlops.FirstDerivative((3, 2), axis=0)
    operation = PyTensorOperator(A)
    for shape in [(3, 2), (6,), (5, 3, 2), (5, 6), (4, 5, 3, 2)]:
        x = _numbers(*shape)
        variable = pt.tensor("x", shape=shape, dtype="float64")
        out = operation(variable)
        np.testing.assert_array_equal(_evaluate(out, x=(variable, x)), A(x))
        assert out.type.shape == A(x).shape
    unknown = pt.dtensor3("x")
    out = operation(unknown)
    x = _numbers(5, 3, 2)
    value, size = _evaluate([out, out.shape], x=(unknown, x))
    np.testing.assert_array_equal(value, A(x))
    assert tuple(size) == (5, 3, 2)
    with pytest.raises(ValueError, match=r"FirstDerivative.*takes \(\*batch, 3, 2\)"):
        operation(pt.tensor("x", shape=(4,), dtype="float64"))
    with pytest.raises(ValueError, match=r"FirstDerivative.*takes \(\*batch, 3, 2\)"):
        _evaluate(out, x=(unknown, _numbers(5, 2, 3)))
    matrix = pt.dmatrix("x")  # models, for all that its type says
    with pytest.raises(ValueError, match=r"FirstDerivative.*takes \(\*batch, 3, 2\)"):
        _evaluate(operation(matrix), x=(matrix, _numbers(5, 6)))


def test_complex_operators():
    A = MatrixMult(_complex(3, 4))
    operation = PyTensorOperator(A)
    x, y = _numbers(4), _complex(3, seed=5)
    variable, data = pt.dvector("x"), pt.zvector("y")
    out = operation(variable)
    assert out.dtype == "complex128"
    np.testing.assert_allclose(_evaluate(out, x=(variable, x)), A @ x)
    np.testing.assert_allclose(_evaluate(operation.adjoint(data), y=(data, y)), A.H @ y)
    with pytest.raises(TypeError, match="takes real models"):
        PyTensorOperator(FFT(8, real=True))(pt.zvector("z"))


@pytest.mark.parametrize("operator", ["toreal", "imaginary part", "of a real FFT"])
def test_gradients_of_real_data_of_complex_operators(operator):
    M = MatrixMult(_complex(4, 4))
    A = {
        "toreal": M.toreal(),
        "imaginary part": torchlops.Imag(4) @ M,
        "of a real FFT": torchlops.Real(4) @ M @ FFT(6, real=True),
    }[operator]
    dense = np.stack([A(unit) for unit in np.eye(A.shape[1])], axis=1)
    x, v = _numbers(A.shape[1]), _numbers(A.shape[1], seed=1)
    variable = pt.dvector("x")
    gradient = pytensor.grad((PyTensorOperator(A)(variable) ** 3).sum(), variable)
    product = pytensor.grad((gradient * v).sum(), variable)
    got = _evaluate([gradient, product], x=(variable, x))
    np.testing.assert_allclose(got[0], dense.T @ (3 * (dense @ x) ** 2))
    np.testing.assert_allclose(got[1], dense.T @ (6 * (dense @ x) * (dense @ v)))


def test_types():
    operation = PyTensorOperator(torchlops.FirstDerivative(8))
    variable = pt.fvector("x")
    gradient = pytensor.grad((operation(variable) ** 2).sum(), variable)
    assert operation(variable).dtype == gradient.dtype == "float32"
    wide = PyTensorOperator(MatrixMult(_numbers(3, 8)))(variable)
    assert wide.dtype == "float64"
    assert pytensor.grad(wide.sum(), variable).dtype == "float32"
    with pytest.raises(TypeError, match="floating-point or complex arrays, got int64"):
        operation(pt.lvector("x"))


def test_new_values_are_seen():
    A = MatrixMult(torch.ones(2, 2, dtype=torch.float64))
    function = pytensor.function([], PyTensorOperator(A)(np.ones(2)), mode=QUICK)
    assert function().tolist() == [2, 2]
    A.A.mul_(3)
    assert function().tolist() == [6, 6]


def test_copies():
    operation = PyTensorOperator(MatrixMult(_numbers(3, 4)))
    x = _numbers(4)
    other = pickle.loads(pickle.dumps(operation))
    np.testing.assert_array_equal(other(x).eval(mode=QUICK), operation(x).eval(mode=QUICK))
    assert isinstance(other, PyTensorOperator)
    assert isinstance(other, pytensor.graph.op.Op)


def test_foreign_operators():
    matrix = _numbers(3, 4)
    A = torchlops.aslinearoperator((lambda x: matrix @ x, lambda y: matrix.T @ y), dims=4, dimsd=3)
    x = _numbers(4)
    variable = pt.dvector("x")
    out = PyTensorOperator(A)(variable)
    gradient = pytensor.grad((out**2).sum() / 2, variable)
    np.testing.assert_allclose(_evaluate(gradient, x=(variable, x)), matrix.T @ matrix @ x)


class _Twice(LinearOperator):
    def _forward(self, x):
        return 2 * x

    _adjoint = _forward


def test_vectorized_graphs():
    x = _numbers(5, 4)
    core, batch = pt.tensor("x", shape=(4,), dtype="float64"), pt.tensor("x", shape=(5, 4), dtype="float64")
    out = pytensor.graph.vectorize_graph(PyTensorOperator(_Twice(4))(core), {core: batch})
    np.testing.assert_array_equal(_evaluate(out, x=(batch, x)), 2 * x)
