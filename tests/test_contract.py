"""What the base class gives to every operator, and what it asks of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from torch import Tensor, nn

import torchlops
from torchlops import Diagonal, FirstDerivative, Flip, LinearOperator, MatrixMult, testing
from torchlops.shapes import accept_pylops_options, as_dims, as_trailing_axes, as_trailing_axis, per_axis
from torchlops.signalprocessing import FFT

C128 = torch.complex128


class Moments(LinearOperator):
    """Leaves its adjoint to automatic differentiation."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__(dims=tuple(weights.shape[1:]), dimsd=weights.shape[0])
        self._register("weights", weights)

    def _forward(self, x: Tensor) -> Tensor:
        count = self.weights.ndim - 1
        return (self.weights * x.unsqueeze(-count - 1)).sum(tuple(range(-count, 0)))


@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(C128, marks=pytest.mark.slow)])
def test_a_left_out_adjoint_is_derived(dtype: torch.dtype) -> None:
    weights = torch.randn(2, 3, 2, dtype=dtype, generator=torch.Generator().manual_seed(0))
    testing.check(Moments(weights), compile=False)
    testing.check_compile(Moments(weights))
    testing.check_tensor_gradients(Moments, [weights])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, C128])
def test_a_derived_adjoint_compiles_in_every_transform(dtype: torch.dtype) -> None:
    weights = torch.randn(2, 3, 2, dtype=dtype, generator=torch.Generator().manual_seed(0))
    testing.check_compiled_gradients(Moments(weights))
    testing.check_compiled_jacobians(Moments(weights))


def test_a_derived_adjoint_of_a_real_model_is_real() -> None:
    class Spectrum(LinearOperator):
        def __init__(self) -> None:
            super().__init__(4, dimsd=3, dtype="complex128", clinear=False, real_model=True)

        def _forward(self, x: Tensor) -> Tensor:
            return torch.fft.rfft(x)

    testing.check_adjoint(Spectrum())
    assert Spectrum().H(torch.ones(3, dtype=C128)).dtype == torch.float64


def test_shape_may_stand_for_dims() -> None:
    class Zeros(LinearOperator):
        def _forward(self, x: Tensor) -> Tensor:
            return x.new_zeros((*x.shape[:-1], self.dimsd[0]))

    assert (Zeros(shape=(2, 3)).dims, Zeros(shape=(2, 3)).dimsd) == ((3,), (2,))
    assert Zeros(dims=[2, 3]).shape == (6, 6)
    with pytest.raises(ValueError, match=r"needs dims .* or shape"):
        Zeros()
    with pytest.raises(ValueError, match="at least 1"):
        Zeros(dims=(2, 0))
    with pytest.raises(TypeError, match="integer"):
        Zeros(dims=2.5)
    with pytest.raises(NotImplementedError, match="must define _forward"):
        LinearOperator(dims=2)(torch.ones(2))


def test_flattened_input_is_answered_in_kind_and_nd_wins() -> None:
    A = FirstDerivative((1, 4), axis=-1)
    x = torch.arange(4.0)
    assert A(x).shape == (4,)
    assert A(x[None]).shape == (1, 4)  # one model of shape (1, 4), and also a batch of one flattened model
    assert A(torch.stack([x, x])).shape == (2, 4)
    assert A(torch.ones(2, 1, 4)).shape == (2, 1, 4)
    assert A(torch.ones(5, 2, 4)).shape == (5, 2, 4)
    assert FirstDerivative((2, 3))(torch.ones(0, 6)).shape == (0, 6)


def test_matmul_reads_columns_last_as_a_dense_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    A = FirstDerivative((3, 4), axis=0, kind="forward")
    dense = A.todense("torch")
    x = torch.randn(3, 4, 5, dtype=torch.float64, generator=generator)
    flat = x.reshape(12, 5)
    torch.testing.assert_close(A @ flat, dense @ flat)
    torch.testing.assert_close((A @ x).reshape(12, 5), dense @ flat)
    torch.testing.assert_close(A @ x[..., 0], A(x[..., 0]))
    torch.testing.assert_close(A @ flat[:, 0], dense @ flat[:, 0])
    torch.testing.assert_close(A.H @ flat, dense.mT @ flat)
    torch.testing.assert_close(A * flat, dense @ flat)
    torch.testing.assert_close(A.dot(flat), dense @ flat)
    torch.testing.assert_close(A.matmat(flat), dense @ flat)
    torch.testing.assert_close(A.rmatmat(flat), dense.mT @ flat)
    torch.testing.assert_close(A.matvec(flat[:, :1]), dense @ flat[:, :1])
    torch.testing.assert_close(A.rmatvec(flat[:, 0]), dense.mT @ flat[:, 0])
    torch.testing.assert_close(A.adjoint(x[..., 0]), A.H(x[..., 0]))
    torch.testing.assert_close(flat.mT @ A, flat.mT @ dense)


def test_a_square_stack_is_read_as_matrix_products_read_it() -> None:
    A = MatrixMult(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    X = torch.tensor([[1.0, 0.0], [5.0, 1.0]])
    torch.testing.assert_close(A @ X, torch.tensor([[11.0, 2.0], [23.0, 4.0]]))
    torch.testing.assert_close(A(X), torch.tensor([[1.0, 3.0], [7.0, 19.0]]))


@pytest.mark.parametrize(
    "call",
    [
        lambda A: A(torch.ones(7)),
        lambda A: A(torch.ones(())),
        lambda A: A(torch.ones(3, 2)),
        lambda A: A @ torch.ones(7, 2),
        lambda A: A @ torch.ones(2, 6),
        lambda A: A.matvec(torch.ones(2, 3)),
        lambda A: A.matmat(torch.ones(6)),
        lambda A: A.rmatvec(torch.ones(7)),
        lambda A: A.rmatmat(torch.ones(7, 2)),
        lambda A: A(np.ones(5)),
        lambda A: A.H(torch.ones(5)),
        lambda A: A.adjoint(torch.ones(5)),
    ],
)
def test_wrong_shapes_are_refused_by_name(call: Any) -> None:
    with pytest.raises(ValueError, match=r"Flip 'turn'.*(2, 3|6)"):
        call(Flip((2, 3), name="turn"))


def test_wrong_types_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"Flip 'turn' takes floating-point or complex tensors, got torch.int64.*cast"):
        Flip(3, name="turn")(torch.ones(3, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"FFT .* takes real models, got torch.complex64"):
        FFT(4, real=True)(torch.ones(4, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"FFT .*torch.bfloat16"):
        FFT(4)(torch.ones(4, dtype=torch.bfloat16))
    with pytest.raises(TypeError, match=r"Diagonal.* complex .*bfloat16"):
        Diagonal(torch.ones(2, dtype=C128)).to(torch.bfloat16)


def test_division_solves_where_the_operator_knows_its_inverse() -> None:
    class Halve(LinearOperator):
        def _forward(self, x: Tensor) -> Tensor:
            return x / 2

        _adjoint = _forward

        def _inverse(self, y: Tensor) -> Tensor:
            return 2 * y

    A = Halve(dims=(2, 3))
    for y in (torch.ones(2, 3), torch.ones(6), torch.ones(4, 2, 3), torch.ones(4, 6)):
        batch = y.shape[:1] if y.shape[0] == 4 else ()
        torch.testing.assert_close(A / y, 2 * y.reshape(*batch, 2, 3))
    assert isinstance(A / np.ones(6), np.ndarray)
    with pytest.raises(ValueError, match="the data of Halve must be"):
        A / torch.ones(5)
    tall = MatrixMult(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    torch.testing.assert_close(tall / tall(torch.ones(2)), torch.ones(2))
    D, y = FirstDerivative(4), FirstDerivative(4)(torch.tensor([1.0, 3.0, 2.0, 0.0]))
    torch.testing.assert_close(D(D / y), y)


def test_dtype_is_a_label_and_follows_the_tensors() -> None:
    assert Flip(3).dtype == np.float64
    assert Flip(3, dtype="float32").dtype == np.float32
    assert Flip(3, dtype="float32")(torch.ones(3, dtype=torch.float64)).dtype == torch.float64
    assert Diagonal(torch.ones(3), dtype="float32").dtype == np.float32
    assert MatrixMult(torch.ones(3, 3, dtype=C128)).dtype == np.complex128
    A = Flip(3, dtype="complex128")
    assert A.float().dtype == np.complex64
    assert A.to(torch.float64).dtype == np.complex128


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_casts_keep_complex_complex_and_integers_integer() -> None:
    class Pick(LinearOperator):
        def __init__(self) -> None:
            super().__init__(3)
            self._register("weights", torch.ones(3, dtype=C128))
            self.register_buffer("order", torch.tensor([2, 0, 1]))

        def _forward(self, x: Tensor) -> Tensor:
            return self.weights * x.gather(-1, self.order.expand(x.shape))

    A = Pick()
    dtypes = []
    for cast in (A.float, A.double, A.half, lambda: A.to(torch.float32), lambda: A.to(C128), lambda: A.to("cpu")):
        cast()
        dtypes.append(A.weights.dtype)
        assert A.order.dtype == torch.int64
    assert dtypes == [torch.complex64, C128, torch.complex32, torch.complex64, C128, C128]
    assert A.to("meta").order.is_meta


def test_scipy_solvers_take_operators() -> None:
    A = MatrixMult(np.random.default_rng(0).standard_normal((6, 4)))
    x = np.arange(4.0)
    np.testing.assert_allclose(scipy.sparse.linalg.lsqr(A, A @ x)[0], x, atol=1e-6)
    np.testing.assert_allclose(scipy.sparse.linalg.cg(A.H @ A, A.H @ (A @ x), rtol=1e-10)[0], x, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # of a problem that is small
@pytest.mark.parametrize(("size", "count"), [(6, 2), (40, 3)])
def test_scipys_lobpcg_takes_an_operator_as_a_function_of_columns(size: int, count: int) -> None:
    rng = np.random.default_rng(0)
    M = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    H = M @ M.conj().T
    start = rng.normal(size=(size, count)) + 0j
    values, vectors = scipy.sparse.linalg.lobpcg(MatrixMult(H), start, maxiter=500, tol=1e-9)
    np.testing.assert_allclose(H @ vectors, vectors * values, atol=1e-5)
    with pytest.raises(ValueError, match="Batch axes come first"):
        MatrixMult(H)(start)


def test_an_operator_is_a_layer() -> None:
    A = FirstDerivative(8)
    net = nn.Sequential(nn.Linear(5, 8, dtype=torch.float64), A, nn.Linear(8, 1, dtype=torch.float64))
    net(torch.ones(3, 5, dtype=torch.float64)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert sum(1 for _ in net.parameters()) == 4


def test_transforms_of_the_operator_itself_compile() -> None:
    """``vmap(A)``, too, not only ``vmap(lambda x: A(x))``: torch then asks the operator for its name."""
    A = FirstDerivative(5)
    x = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for transform, value in ((torch.func.vmap, x), (torch.func.jacfwd, x[0]), (torch.func.jacrev, x[0])):
        torch.compiler.reset()
        compiled = torch.compile(lambda x, transform=transform: transform(A)(x), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(value), transform(A)(value))
    torch.compiler.reset()


def test_a_change_of_batch_size_compiles_at_most_twice() -> None:
    A = FirstDerivative(5)
    graphs = []

    def backend(graph: Any, example_inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(A, fullgraph=True, backend=backend)
    for batch in (2, 3, 5, 9):
        x = torch.ones(batch, 5, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), A(x))
    assert len(graphs) <= 2
    torch.compiler.reset()


# -- sizes, axes and options -----------------------------------------------------------------------------------


def test_axes_count_from_the_end() -> None:
    assert [as_trailing_axis(axis, (2, 3, 4)) for axis in (0, 1, 2, -1, -3)] == [-3, -2, -1, -1, -3]
    assert as_trailing_axes((0, -1), (2, 3)) == (-2, -1)
    assert as_trailing_axes(1, (2, 3)) == (-1,)
    with pytest.raises(ValueError, match="out of range"):
        as_trailing_axis(2, (2, 3))
    with pytest.raises(ValueError, match="twice"):
        as_trailing_axes((0, -2), (2, 3))


def test_dims_are_positive_integers() -> None:
    assert as_dims(np.int64(3)) == (3,)
    assert as_dims(np.array([2, 3])) == (2, 3)
    assert as_dims(torch.Size([2, 3])) == (2, 3)
    for wrong in ((), 0, (2, -1)):
        with pytest.raises(ValueError, match="at least"):
            as_dims(wrong)
    with pytest.raises(TypeError, match="dimsd"):
        as_dims("ab", "dimsd")


def test_one_value_or_one_an_axis() -> None:
    assert per_axis("reflect", 2, "mode") == ("reflect", "reflect")
    assert per_axis(np.array([1, 2]), 2, "sampling") == (1, 2)
    with pytest.raises(ValueError, match="one value or 3"):
        per_axis((1, 2), 3, "sampling")


def test_pylops_options_have_no_effect() -> None:
    assert accept_pylops_options(engine="numba", inplace=False) is None


def test_pylops_names_are_there() -> None:
    for name in ("MatrixMult", "Diagonal", "FirstDerivative", "LinearOperator", "TorchOperator", "aslinearoperator"):
        assert hasattr(torchlops, name)


@pytest.mark.parametrize(
    ("forward", "dimsd"), [(lambda x: x[..., :-1], None), (lambda x: x.sum(-1, keepdim=True), None), (lambda x: x, 3)]
)
def test_a_result_of_another_shape_than_declared_raises(forward, dimsd):
    class Wrong(LinearOperator):
        def _forward(self, x):
            return forward(x)

    A = Wrong(5, dimsd)
    for apply in (A, A + torchlops.Zero(*A.shape), 2 * A):
        with pytest.raises(ValueError, match=r"_forward of Wrong gave .* it must give \(\*batch, "):
            apply(torch.ones(5))


def test_a_scalar_tensor_leaves_the_precision_to_the_data():
    class Decay(LinearOperator):
        def __init__(self, factor):
            super().__init__(4)
            self._register("factor", factor)

        def _forward(self, x):
            return self.factor * x.cumsum(-1)

    A, x = Decay(torch.tensor(0.9, dtype=torch.float64)), torch.ones(4)
    assert A(x).dtype == A.H(x).dtype == torch.float32
    complex_factor = Decay(torch.tensor(0.9j))
    assert complex_factor.H(x).dtype == torch.complex64
    torch.testing.assert_close(complex_factor.H(x), -0.9j * torch.tensor([4.0, 3.0, 2.0, 1.0]))
