"""JaxOperator: every transform of JAX agrees with that of the same map, written in JAX."""

from __future__ import annotations

import copy
import functools
import pickle

import numpy as np
import pytest
import torch

import torchlops
from torchlops import JaxOperator, LinearOperator, MatrixMult
from torchlops.signalprocessing import FFT

jax = pytest.importorskip("jax")
jnp = jax.numpy


@pytest.fixture(autouse=True)
def double():
    """Let JAX have 64-bit types, and leave it as it was."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def _numbers(shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, *shape))
    return (values[0] + 1j * values[1] if np.dtype(dtype).kind == "c" else values[0]).astype(dtype)


def _foreign():
    matrix = _numbers((3, 4), "complex128")
    return torchlops.aslinearoperator(
        (lambda x: matrix @ x, lambda y: matrix.conj().T @ y), dims=4, dimsd=3, dtype="complex128"
    )


OPERATORS = {
    "rectangular": lambda: MatrixMult(_numbers((3, 4))),
    "complex": lambda: MatrixMult(_numbers((3, 4), "complex128")),
    "images": lambda: torchlops.FirstDerivative((3, 2), axis=0),
    "complex FFT": lambda: FFT(4),
    "real FFT": lambda: FFT(4, real=True),
    "adjoint of a real FFT": lambda: FFT(4, real=True).H,
    "real part": lambda: torchlops.Real(4),
    "imaginary part of": lambda: torchlops.Imag(3) @ MatrixMult(_numbers((3, 4), "complex128")),
    "conjugate": lambda: torchlops.Conj(4),
    "composition": lambda: 2j * MatrixMult(_numbers((3, 4))) @ FFT(4) + MatrixMult(_numbers((3, 4), seed=1)),
    "foreign": _foreign,
}


def _in_jax(A, dtype):
    """Return ``A`` as ``x -> P x + Q conj(x)``, in JAX."""
    units = torch.eye(A.shape[1], dtype=torch.float64).reshape(A.shape[1], *A.dims)
    ones = A(units).reshape(A.shape[1], -1).numpy().T
    is_real = ones.dtype.kind != "c"
    if np.dtype(dtype).kind != "c":
        return lambda x: (ones @ x.reshape(-1)).reshape(A.dimsd)
    imaginary = A(1j * units).reshape(A.shape[1], -1).numpy().T
    p, q = (ones - 1j * imaginary) / 2, (ones + 1j * imaginary) / 2
    real_data = is_real and imaginary.dtype.kind != "c"

    def apply(x):
        x = x.reshape(-1)
        y = (p @ x + q @ x.conj()).reshape(A.dimsd)
        return y.real if real_data else y

    return apply


FAST = [("rectangular", "float64"), ("complex", "complex128"), ("real FFT", "float64")]
DEAR = [
    (name, dtype)
    for name in OPERATORS
    for dtype in ("float64", "complex128")
    if (name, dtype) not in [*FAST, ("real FFT", "complex128")]
]
CASES = FAST + [pytest.param(*case, marks=pytest.mark.slow) for case in DEAR]


def _loss(f):
    return lambda x: jnp.sum(jnp.real((1 + 2j) * f(x)) ** 3)


def _direction(f):
    """Return the derivative of a loss along the model itself."""
    return lambda x: jax.jvp(_loss(f), (x,), (x + 1,))[1]


def _transposed(f, x):
    return lambda y: jax.linear_transpose(f, x)(y)[0]


def _data(f, x):
    out = jax.eval_shape(f, x)
    return jnp.asarray(_numbers(out.shape, out.dtype, seed=3))


TRANSFORMS = {
    "value": lambda f, x: f(x),
    "jvp": lambda f, x: jax.jvp(f, (x,), (jnp.sin(x),)),
    "vjp": lambda f, x: jax.vjp(f, x)[1](_data(f, x)),
    "grad": lambda f, x: jax.grad(_loss(f))(x),
    "linear_transpose": lambda f, x: _transposed(f, x)(_data(f, x)),
    "twice transposed": lambda f, x: _transposed(_transposed(f, x), _data(f, x))(x),
    "vmap": lambda f, x: jax.vmap(f, -1, 1)(jnp.stack([x, 2 * x, x**2], -1)),
    "vmap of vmap of grad": lambda f, x: jax.vmap(jax.vmap(jax.grad(_loss(f))), 1)(
        jnp.stack([x, 2 * x, x**2, x, x + 1, x - 1]).reshape(2, 3, *x.shape)
    ),
    "grad of jvp": lambda f, x: jax.grad(_direction(f))(x),
    "jvp of grad of jvp": lambda f, x: jax.jvp(jax.grad(_direction(f)), (x,), (jnp.cos(x),)),
    "scan": lambda f, x: jax.lax.scan(lambda s, a: (s + 1.0, _loss(f)(a * s * x)), 1.0, jnp.arange(3.0)),
    "grad of scan": lambda f, x: jax.grad(
        lambda x: jax.lax.scan(lambda s, a: (s + _loss(f)(a * x), None), 0.0, jnp.arange(3.0))[0]
    )(x),
    "checkpoint": lambda f, x: jax.grad(jax.checkpoint(_loss(f)))(x),
    "linearize": lambda f, x: jax.linearize(_loss(f), x)[1](x**2),
}
OF_REAL = {
    "jacfwd": lambda f, x: jax.jacfwd(_loss(f))(x),
    "jacrev": lambda f, x: jax.jacrev(lambda x: jnp.abs(f(x)) ** 2)(x),
    "hessian": lambda f, x: jax.hessian(_loss(f))(x),
    "jacrev of jacfwd": lambda f, x: jax.jacrev(jax.jacfwd(_loss(f)))(x),
    "grad of grad": lambda f, x: jax.grad(lambda x: jnp.sum(jax.grad(_loss(f))(x) ** 2))(x),
}


@pytest.mark.filterwarnings("ignore:Casting complex values to real")  # by older versions of JAX, in the reference
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_every_transform_agrees_with_jax(name, dtype):
    A = OPERATORS[name]()
    f, reference = JaxOperator(A), _in_jax(A, dtype)
    x = jnp.asarray(_numbers(A.dims, dtype, seed=2))
    transforms = TRANSFORMS | (OF_REAL if np.dtype(dtype).kind != "c" else {})
    for transform, apply in transforms.items():
        expected = jax.tree.leaves(jax.jit(functools.partial(apply, reference))(x))
        got = jax.tree.leaves(jax.jit(functools.partial(apply, f))(x))
        assert len(got) == len(expected), transform
        for a, b in zip(got, expected, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), transform
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10, err_msg=transform)


def test_transforms_without_jit():
    A = MatrixMult(_numbers((3, 4)))
    f, reference = JaxOperator(A), _in_jax(A, "float64")
    x = jnp.asarray(_numbers((4,), seed=2))
    for transform in ("value", "vjp", "linear_transpose", "vmap", "grad of jvp", "hessian"):
        apply = (TRANSFORMS | OF_REAL)[transform]
        np.testing.assert_allclose(apply(f, x), apply(reference, x), err_msg=transform)


class _Counted(LinearOperator):
    """Twice the model, which notes what it is applied to."""

    def __init__(self, dims):
        super().__init__(dims)
        self.shapes = []

    def _forward(self, x):
        if x.numel():
            self.shapes.append(tuple(x.shape))
        return 2 * x

    _adjoint = _forward


def test_a_mapped_axis_is_a_batch_axis():
    A = _Counted((2, 3))
    f = JaxOperator(A)
    x = jnp.asarray(_numbers((2, 3, 4, 5)))
    y = jax.jit(jax.vmap(jax.vmap(f, -1, -1), 2, 2))(x)
    np.testing.assert_allclose(y, 2 * x)
    jax.vmap(jax.grad(lambda x: jnp.sum(f(x) ** 2)), -1)(x[..., 0])
    assert A.shapes == [(4, 5, 2, 3), (4, 2, 3), (4, 2, 3)]


def test_shapes_are_those_of_every_operator():
    A = torchlops.FirstDerivative((3, 2), axis=0)
    f = JaxOperator(A)
    for shape in [(3, 2), (6,), (5, 3, 2), (5, 6), (4, 5, 3, 2), (0, 6)]:
        x = _numbers(shape)
        np.testing.assert_allclose(jax.jit(f)(x), A(x))
        np.testing.assert_allclose(jax.jit(f.adjoint)(x), A.adjoint(x))
    for shape in [(3, 2), (6,), (6, 4), (3, 2, 4)]:
        x = _numbers(shape)
        np.testing.assert_allclose(jax.jit(f.__matmul__)(x), A @ x)
        np.testing.assert_allclose(jax.jit(lambda x: f.H * x)(x), A.H * x)
    for method, shape in [("matvec", (6,)), ("rmatvec", (6, 1)), ("matmat", (6, 4)), ("rmatmat", (6, 1))]:
        x = _numbers(shape)
        np.testing.assert_allclose(jax.jit(getattr(f, method))(x), getattr(A, method)(x))
    np.testing.assert_allclose(jax.vmap(f._matvec)(jnp.ones((4, 6))), A(np.ones((4, 6))))
    np.testing.assert_allclose(jnp.ones(6) @ f, np.ones(6) @ A)


def test_combinations_are_functions_of_jax():
    A, B = MatrixMult(_numbers((3, 3))), MatrixMult(_numbers((3, 3), seed=1))
    f, g = JaxOperator(A), JaxOperator(B)
    x = _numbers((3,))
    for combined, expected in [
        (2 * f - g, 2 * A - B),
        (f @ g.H, A @ B.H),
        (f @ B, A @ B),
        (f * g.T, A * B.T),
        (-f / 3 + B, -A / 3 + B),
        (f * 2 - A + 0, A),
        (f**2, A**2),
        (f.conj(), A.conj()),
        ((1j * f).toreal(), (1j * A).toreal()),
        ((1j * f).toimag(), (1j * A).toimag()),
        (
            f.apply_columns([0, 2]) @ MatrixMult(_numbers((2, 3))),
            A.apply_columns([0, 2]) @ MatrixMult(_numbers((2, 3))),
        ),
        (JaxOperator(f), A),
    ]:
        np.testing.assert_allclose(jax.jit(combined)(x), expected(x), atol=1e-12)
    assert (f @ g).operators[0].operators == (A, B)
    assert f.H.H.operators[0] is A
    assert "JaxOperator(" in repr(f)


def test_other_arrays_go_through_torch():
    A = MatrixMult(_numbers((3, 4)))
    f = JaxOperator(A)
    x = torch.ones(2, 4, dtype=torch.float64, requires_grad=True)
    f(x).sum().backward()
    assert torch.equal(x.grad, A.H(torch.ones(2, 3, dtype=torch.float64)))
    assert isinstance(f(np.ones(4)), np.ndarray)
    assert isinstance(f @ np.ones(4), np.ndarray)
    assert isinstance(f(jnp.ones(4)), jax.Array)


def test_rmatvecad_of_a_rectangular_operator():
    for shape in [(3, 5), (5, 3)]:
        A = MatrixMult(_numbers(shape, "complex128"))
        f = JaxOperator(A)
        x, y = _numbers(shape[1:], "complex128"), _numbers(shape[:1], "complex128", seed=1)
        np.testing.assert_allclose(f.rmatvecad(jnp.asarray(x), jnp.asarray(y)), A.T @ y)
        column = f.rmatvecad(jnp.asarray(x)[:, None], jnp.asarray(y)[:, None])
        np.testing.assert_allclose(column[:, 0], A.T @ y)


def test_solvers_and_dottest_take_jax_arrays():
    matrix = _numbers((4, 4))
    f = JaxOperator(MatrixMult(jnp.asarray(matrix)))
    x = jnp.arange(4.0)
    solution = torchlops.cgls(f, f @ x, x0=jnp.zeros(4), niter=100, tol=1e-12)[0]
    assert isinstance(solution, jax.Array)
    np.testing.assert_allclose(solution, x, atol=1e-6)
    assert torchlops.dottest(f, 4, 4, backend="jax")


@pytest.mark.parametrize("dtype", ["float32", "complex64", "bfloat16", "float16"])
def test_precision_is_that_of_the_input(dtype):
    f = JaxOperator(torchlops.FirstDerivative(8))
    x = jnp.arange(8.0).astype(dtype)
    assert f(x).dtype == jax.jit(f)(x).dtype == x.dtype
    assert (f(x) == jax.jit(f)(x)).all()
    gradient = jax.jit(jax.grad(lambda x: jnp.real(f(x)).sum()))(x)
    assert gradient.dtype == x.dtype


def test_without_64_bits_results_are_those_of_jax():
    f = JaxOperator(MatrixMult(_numbers((3, 4), "complex128")))
    assert f(jnp.ones(4, "float32")).dtype == "complex128"
    jax.config.update("jax_enable_x64", False)
    x = jnp.ones(4, "float32")
    assert f(x).dtype == jax.jit(f)(x).dtype == "complex64"
    assert jax.jit(jax.grad(lambda x: jnp.abs(f(x)).sum()))(x).dtype == "float32"


def test_a_compiled_function_sees_new_values():
    A = MatrixMult(torch.ones(2, 2, dtype=torch.float64))
    f = jax.jit(JaxOperator(A))
    x = jnp.ones(2)
    assert f(x).tolist() == [2, 2]
    A.A.mul_(3)
    assert f(x).tolist() == [6, 6]
    A.A = torch.zeros(2, 2, dtype=torch.float64)
    assert f(x).tolist() == [0, 0]
    A.A = torch.zeros(2, 2, dtype=torch.complex128)
    with pytest.raises(Exception, match="Compile the function again"):
        f(x).block_until_ready()


def test_inputs_are_not_shared_and_not_changed():
    x = jnp.arange(4.0)
    y = JaxOperator(torchlops.Identity(4))(x)
    assert y.unsafe_buffer_pointer() != x.unsafe_buffer_pointer()


def test_large_arrays_do_not_block():
    f = JaxOperator(torchlops.Flip(3_000_000))
    x = jnp.arange(3e6)
    step = jax.jit(lambda x: f(f(x) + 1) * 2)
    for _ in range(3):
        y = step(x)
    assert float(y[0]) == 2


def test_copies():
    f = JaxOperator(MatrixMult(_numbers((3, 4))))
    x = jnp.ones(4)
    for other in (copy.deepcopy(f), pickle.loads(pickle.dumps(f))):
        np.testing.assert_array_equal(jax.jit(other)(x), f(x))


def test_refusals_come_when_the_function_is_traced():
    A = torchlops.FirstDerivative((3, 2), axis=0)
    f = JaxOperator(A)
    with pytest.raises(TypeError, match=r"FirstDerivative.*floating-point or complex arrays, got int32"):
        jax.jit(f)(jnp.ones((3, 2), "int32"))
    with pytest.raises(ValueError, match=r"takes \(\*batch, 3, 2\) or flattened \(\*batch, 6\), got \(4,\)"):
        jax.jit(f)(jnp.ones(4))
    with pytest.raises(ValueError, match=r"got \(2, 3, 2\)"):
        f @ jnp.ones((2, 3, 2))
    with pytest.raises(ValueError, match=r"matvec of .* takes"):
        f.matvec(jnp.ones((3, 2)))
    with pytest.raises(TypeError, match="takes real models"):
        jax.jit(JaxOperator(FFT(4, real=True)))(jnp.ones(4, "complex128"))
    with pytest.raises(TypeError, match="complex32 for float16, which only torch has"):
        JaxOperator(1j * torchlops.Identity(4))(jnp.ones(4, "float16"))
    with pytest.raises(TypeError, match="linear operator"):
        JaxOperator(3)


def test_a_plain_operator_says_what_to_do_when_it_is_traced():
    with pytest.raises(TypeError, match="JaxOperator"):
        jax.jit(torchlops.FirstDerivative(4))(jnp.ones(4))
