"""The checks themselves: a fault planted on purpose must fail them, and a right operator must pass."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from torchlops import LinearOperator, testing
from torchlops.arraykernels import view
from torchlops.linearoperator import CompositeOperator

C128 = torch.complex128


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(3))


# -- operators without a fault ---------------------------------------------------------------------------------


class Flip(LinearOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1)

    _adjoint = _forward


class Weights(LinearOperator):
    def __init__(self, d: Tensor) -> None:
        super().__init__(dims=tuple(d.shape))
        self._register("d", d)

    def _forward(self, x: Tensor) -> Tensor:
        return self.d * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.d.conj() * y


class Derived(LinearOperator):
    """Leaves its adjoint to the base class, and is not square."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(dims=matrix.shape[1], dimsd=matrix.shape[0])
        self._register("matrix", matrix)

    def _forward(self, x: Tensor) -> Tensor:
        return (self.matrix * x[..., None, :]).sum(-1)


class ArrayWeights(Weights):
    """Has an array kernel."""

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        d = view(self.d)
        return x * (d.conj() if adjoint else d)


class RealPart(LinearOperator):
    """Linear over the real numbers only."""

    def __init__(self, dims: int) -> None:
        super().__init__(dims, clinear=False)

    def _forward(self, x: Tensor) -> Tensor:
        return x.real.clone() if x.is_complex() else x.clone()

    _adjoint = _forward


class RealSpectrum(LinearOperator):
    """Takes real models only, and gives complex data."""

    def __init__(self) -> None:
        super().__init__(dims=2, dimsd=3, dtype="complex128", clinear=False, real_model=True)

    def _forward(self, x: Tensor) -> Tensor:
        a, b = x[..., :1], x[..., 1:]
        return torch.cat([a + b, a - 1j * b, a - b], -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        real, imag = (y.real, y.imag) if y.is_complex() else (y, torch.zeros_like(y))
        return torch.stack([real.sum(-1), real[..., 0] - imag[..., 1] - real[..., 2]], -1)


class Difference(LinearOperator):
    """Has fast kernels, and a tensor."""

    def __init__(self, h: Tensor, dims: int | tuple[int, ...] = 5) -> None:
        super().__init__(dims)
        self._register("h", h)

    def _forward(self, x: Tensor) -> Tensor:
        return self.h * torch.cat([x[..., :1], x[..., 1:] - x[..., :-1]], -1)

    def _adjoint(self, y: Tensor) -> Tensor:
        y = self.h.conj() * y
        return torch.cat([y[..., :-1] - y[..., 1:], y[..., -1:]], -1)

    def _fast_forward(self, x: Tensor) -> Tensor:
        out = torch.empty(x.shape, dtype=torch.result_type(x, self.h), device=x.device)
        out[..., :1] = x[..., :1]
        torch.sub(x[..., 1:], x[..., :-1], out=out[..., 1:])
        return out.mul_(self.h)

    def _fast_adjoint(self, y: Tensor) -> Tensor:
        out = self.h.conj() * y
        out[..., :-1] -= out[..., 1:].clone()
        return out


RIGHT: dict[str, Callable[[], LinearOperator]] = {
    "a flip": lambda: Flip(dims=(2, 3), name="F"),
    "one sample": lambda: Flip(dims=1),
    "real weights": lambda: Weights(numbers(4)),
    "complex weights": lambda: Weights(numbers(2, 2, dtype=C128)),
    "a derived adjoint": lambda: Derived(numbers(4, 3)),
    "a derived complex adjoint": lambda: Derived(numbers(2, 3, dtype=C128)),
    "a real part": lambda: RealPart(3),
    "real models": RealSpectrum,
    "fast kernels": lambda: Difference(numbers(5)),
    "array kernels": lambda: ArrayWeights(numbers(5, dtype=C128)),
    "a composition": lambda: Weights(numbers(5, dtype=C128)).H @ Difference(numbers(5)) + 2j * Weights(numbers(5)),
}


def _right() -> list[Any]:
    """Return every promise on every right operator: the fast gate keeps the dear ones for the last two."""
    dear = {promise for promise in testing.PROMISES if testing.PROMISES[promise].fast != "every case"}
    slow = {name: [pytest.mark.slow] for name in list(RIGHT)[:-2]}
    return [
        pytest.param(name, promise, marks=slow.get(name, []) if promise in dear else [])
        for name in RIGHT
        for promise in testing.PROMISES
    ]


@pytest.mark.parametrize(("name", "promise"), _right())
def test_right_operators_pass(name: str, promise: str) -> None:
    if "derived" in name and promise == "export":
        pytest.skip("torch.export keeps intermediate results of torch.func.vjp as constants: write _adjoint for it")
    testing.PROMISES[promise].check(RIGHT[name]())


@pytest.mark.parametrize("promise", testing.BUILDER_PROMISES)
@pytest.mark.parametrize(
    ("build", "tensors"),
    [
        (Weights, [numbers(4)]),
        (Weights, [numbers(3, dtype=C128)]),
        (Derived, [numbers(3, 2, dtype=C128)]),
        (Difference, [numbers(5)]),
        (lambda d: Flip(3), []),
    ],
    ids=["real", "complex", "derived adjoint", "fast kernels", "none"],
)
def test_right_builders_pass(promise: str, build: Any, tensors: list[Tensor]) -> None:
    testing.BUILDER_PROMISES[promise].check(build, tensors)


@pytest.mark.slow
def test_check_runs_them_all() -> None:
    assert testing.check(Weights(numbers(3)), build=Weights, tensors=[numbers(3)], compile=False) is None
    assert testing.check(Flip(dims=2)) is None


def test_check_says_when_an_operator_is_too_large() -> None:
    with pytest.raises((ValueError, AssertionError), match="column by column"):
        testing.check(Flip(dims=(64, 64)))


# -- operators with one ----------------------------------------------------------------------------------------


class WrongAdjoint(Difference):
    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    _fast_adjoint = _adjoint


class ScaledAdjoint(Flip):
    def _adjoint(self, y: Tensor) -> Tensor:
        return 0.5 * y.flip(-1)


class MissingConjugate(Weights):
    def _adjoint(self, y: Tensor) -> Tensor:
        return self.d * y


class UndeclaredRealPart(RealPart):
    def __init__(self, dims: int) -> None:
        LinearOperator.__init__(self, dims)


class Affine(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1) + 1


class Modulus(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.abs().to(x.dtype)


class DropsImaginaryPart(Weights):
    """Right on complex input, and loses the imaginary part of its tensor on real input."""

    def _forward(self, x: Tensor) -> Tensor:
        return self.d * x if x.is_complex() else self.d.real * x


class WorksInSinglePrecision(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.to(torch.complex64 if x.is_complex() else torch.float32).flip(-1).to(x.dtype)


class RealLabelOnComplexMatrix(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return 1j * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return -1j * y


class LosesBatchAxis(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1).reshape(x.numel() // x.shape[-1], x.shape[-1]) if x.ndim > 2 else x.flip(-1)


class TersErrors(Flip):
    def _wrong_shape(self, x: Any, adjoint: bool) -> ValueError:
        return ValueError("wrong shape")


class AnswersFlat(Flip):
    def _apply_to(self, x: Tensor, adjoint: bool) -> Tensor:
        out = super()._apply_to(x, adjoint)
        return out.reshape((*out.shape[: -len(self.dims)], -1)) if out.shape[-len(self.dims) :] == self.dims else out


class TakesIntegers(Flip):
    def apply_nd(self, x: Tensor, adjoint: bool) -> Tensor:
        return x.flip(-1)


class SilentRepr(Flip):
    def __repr__(self) -> str:
        return "Flip"


class MixesSamples(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1) + 1e-9 * x.reshape(x.numel() // x.shape[-1], x.shape[-1]).sum(0)


class LoopsOverBatch(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[0] == 0:
            return x.flip(-1)
        return torch.stack([sample.flip(-1) for sample in x])


class RefusesEmptyBatch(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[-1]).flip(-1).reshape((*x.shape[:-1], -1))


class NeedsContiguous(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.view(x.numel()).view(x.shape).flip(-1)


class ReturnsInput(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x

    _adjoint = _forward


class ReturnsView(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x[..., :1] if x.shape[-1] == 1 else x.flip(-1)


class ReturnsExpanded(LinearOperator):
    def _forward(self, x: Tensor) -> Tensor:
        return x.sum(-1, keepdim=True).expand(x.shape)

    _adjoint = _forward


class ChangesInput(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.mul_(2).flip(-1) / 2


class ReturnsItsTensor(LinearOperator):
    def __init__(self) -> None:
        super().__init__(3)
        self._register("zeros", torch.zeros(3, dtype=torch.float64))

    def _forward(self, x: Tensor) -> Tensor:
        return self.zeros if x.shape == self.zeros.shape and not x.is_complex() else self.zeros * x

    _adjoint = _forward


class _Jvp77(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.flip(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Jvp77.apply(grad)

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return 77 * t


class WrongForwardMode(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return _Jvp77.apply(x)


class _NoSecondOrder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.flip(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.flip(-1)


class NoSecondOrder(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return _NoSecondOrder.apply(x)


class _DetachedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.flip(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        with torch.no_grad():
            return grad.flip(-1)

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return t.flip(-1)


class SilentlyNoSecondOrder(Flip):
    """What PyLops's TorchOperator does: second derivatives are zero, or lack a part, without an error."""

    def _forward(self, x: Tensor) -> Tensor:
        return _DetachedBackward.apply(x)


class _TwiceTheGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.flip(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad.flip(-1)


class WrongBackward(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return _TwiceTheGradient.apply(x)


class LosesGraph(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.detach().flip(-1)


class LosesGraphOfEmptyBatch(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1) if x.numel() else x.new_zeros(x.shape)


class _WrongVmap(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.flip(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _WrongVmap.apply(grad)

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return _WrongVmap.apply(t)

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> Any:
        return _WrongVmap.apply(x.movedim(in_dims[0], 0)).flip(0), 0


class WrongVmapRule(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return _WrongVmap.apply(x)


class _ThroughNumpy(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy()[..., ::-1].copy())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _ThroughNumpy.apply(grad)

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return _ThroughNumpy.apply(t)

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> Any:
        return _ThroughNumpy.apply(x.movedim(in_dims[0], 0)), 0


class ThroughNumpy(Flip):
    """Passes plain autograd and vmap; traced, its result is a constant."""

    def _forward(self, x: Tensor) -> Tensor:
        return _ThroughNumpy.apply(x)

    _adjoint = _forward


class CastsDown(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1).to(torch.complex64 if x.is_complex() else torch.float32)


class CastsUp(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1).to(C128 if x.is_complex() else torch.float64)


class NamelessHalf(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return torch.fft.ifft(torch.fft.fft(x.flip(-1)))

    def apply_nd(self, x: Tensor, adjoint: bool) -> Tensor:
        if x.dtype == torch.bfloat16:
            raise RuntimeError("Unsupported dtype BFloat16")
        return x.flip(-1)


class ReadsAValue(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1) * (1.0 if float(x.detach().abs().sum()) >= 0 else 2.0)


class SelectsByMask(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(x.shape[-1], dtype=torch.bool, device=x.device)
        return x[..., mask].flip(-1)


class UnregisteredTensor(LinearOperator):
    def __init__(self, d: Tensor) -> None:
        super().__init__(dims=tuple(d.shape))
        self.d = d

    def _forward(self, x: Tensor) -> Tensor:
        return self.d * x

    _adjoint = _forward


class ArraysBecomeTensors(Flip):
    def _through_arrays(self, x: Any, apply: Any) -> Any:
        return apply(torch.from_numpy(np.ascontiguousarray(x)))


class TransposedColumns(Flip):
    def _flat_product(self, method: str, x: Any, adjoint: bool) -> Any:
        turned = method == "matmat" and isinstance(x, torch.Tensor)
        return super()._flat_product(method, x.flip(-1) if turned else x, adjoint)


class Resource:
    """Something that copies share, and that pickle does not take."""

    def __deepcopy__(self, memo: Any) -> Resource:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle a resource")


class NotPicklable(Flip):
    def __init__(self) -> None:
        super().__init__(3)
        self.resource = Resource()


class PlainCasts(Weights):
    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nn.Module._apply(self, fn, recurse)


class NotInStateDict(Weights):
    def __init__(self, d: Tensor) -> None:
        LinearOperator.__init__(self, tuple(d.shape))
        self.register_buffer("d", d, persistent=False)
        self._tensor_names = ("d",)


class AdjointOfACopy(Weights):
    @property
    def H(self) -> LinearOperator:
        return Weights(nn.Parameter(self.d.detach().conj().clone()))


class WrongFastKernel(Difference):
    def _fast_forward(self, x: Tensor) -> Tensor:
        return super()._fast_forward(x) * (1 + 1e-9)


class FastKernelChangesInput(Difference):
    def _fast_adjoint(self, y: Tensor) -> Tensor:
        return super()._fast_adjoint(y.mul_(1.5)) / 1.5


class FastKernelNeedsContiguous(Difference):
    def _fast_forward(self, x: Tensor) -> Tensor:
        return super()._fast_forward(x.view(x.numel()).view(x.shape))


class FastKernelOfRealNumbers(Difference):
    def _fast_forward(self, x: Tensor) -> Tensor:
        return super()._fast_forward(x.real if x.is_complex() else x)


class FastKernelHidesTensor(Difference):
    """The policy knows nothing of its tensor, so that a change of it goes unnoticed."""

    def _held_tensors(self) -> tuple[Tensor, ...]:
        return ()


class WrongWhenCompiled(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return x.flip(-1) * (3 if torch.compiler.is_compiling() else 1)


class WrongBackwardWhenCompiled(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling() and x.ndim == 2:  # a batch of its own, not that of vmap(grad)
            return (3 * x - 2 * x.detach()).flip(-1)
        return x.flip(-1)


class AllocatesElsewhere(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        return torch.zeros(x.shape, dtype=x.dtype) + x.flip(-1)


class FastKernelAllocatesElsewhere(Difference):
    """As the fast kernel of :class:`Difference`, with the default device of torch."""

    def _fast_forward(self, x: Tensor) -> Tensor:
        return torch.zeros(x.shape, dtype=x.dtype) + self._forward(x)


class ArrayKernelLosesPrecision(ArrayWeights):
    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        return super()._array_kernel(x, adjoint).astype(np.complex64 if x.dtype.kind == "c" else np.float32)


class WrongArrayAdjoint(ArrayWeights):
    """Forgets to conjugate."""

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        return x * view(self.d)


class ArrayKernelHidesNaN(ArrayWeights):
    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        return np.nan_to_num(super()._array_kernel(x, adjoint))


class ArrayKernelKeepsCopy(ArrayWeights):
    def __init__(self, d: Tensor) -> None:
        super().__init__(d)
        self.kept = d.numpy().copy()

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        return x * (self.kept.conj() if adjoint else self.kept)


class ArrayKernelChangesInput(ArrayWeights):
    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        y = super()._array_kernel(x, adjoint)
        if x.flags.writeable:
            x *= 2
        return y


class ArrayKernelAliases(LinearOperator):
    def __init__(self, d: Tensor) -> None:
        super().__init__(tuple(d.shape))

    def _forward(self, x: Tensor) -> Tensor:
        return x.clone()

    _adjoint = _forward

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        return x


class ArrayKernelSkipsHooks(CompositeOperator):
    """Calls the array kernel of its part, whether that has hooks or not."""

    def __init__(self, d: Tensor) -> None:
        part = ArrayWeights(d)
        super().__init__((part,), dims=part.dims)

    def _forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.operators[0](x)
        return y

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operators[0].apply_nd(y, True)

    def _array_kernel(self, x: Any, adjoint: bool) -> Any:
        return self.operators[0]._of_array(x, adjoint)


class BreaksGraph(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return x.flip(-1)


class FixesBatchSize(Flip):
    def _forward(self, x: Tensor) -> Tensor:
        sizes = [len(range(size)) for size in x.shape]  # makes an exported program one of this batch size
        return x.flip(-1).reshape(sizes)


FAULTS: list[tuple[str, Callable[[], LinearOperator], str]] = [
    ("adjoint", lambda: WrongAdjoint(numbers(5)), "fitted factor"),
    ("adjoint", lambda: ScaledAdjoint(4), re.escape("<A x, y> / <x, A^H y> = 2")),
    ("adjoint", lambda: MissingConjugate(numbers(4, dtype=C128)), "fitted factor"),
    ("adjoint", lambda: UndeclaredRealPart(3), "clinear=False"),
    ("linear", lambda: Affine(3), "off by"),
    ("linear", lambda: Modulus(3), "off by"),
    ("linear", lambda: UndeclaredRealPart(3), "imaginary"),
    ("linear", lambda: DropsImaginaryPart(numbers(3, dtype=C128)), "off by"),
    ("dense", lambda: WrongAdjoint(numbers(5)), "conjugate transpose"),
    ("dense", lambda: MissingConjugate(numbers(4, dtype=C128)), "conjugate transpose"),
    ("dense", lambda: WorksInSinglePrecision(3), "lost precision"),
    ("dense", lambda: RealLabelOnComplexMatrix(3, dtype="float64"), "SciPy"),
    ("shapes", lambda: LosesBatchAxis(3), r"batch shape \(2, 3\)"),
    ("shapes", lambda: AnswersFlat((2, 3)), "shape"),
    ("shapes", lambda: TersErrors(3), "expected a ValueError that says"),
    ("shapes", lambda: TakesIntegers(3), "raises nothing"),
    ("shapes", lambda: SilentRepr(3), "repr"),
    ("batches", lambda: MixesSamples(3), "depends on the others"),
    ("batches", lambda: LoopsOverBatch(3), "loops over the batch"),
    ("batches", lambda: RefusesEmptyBatch(3), "cannot reshape tensor of 0 elements"),
    ("batches", lambda: NeedsContiguous(3), "view size is not compatible"),
    ("batches", lambda: LosesBatchAxis(3), "shape"),
    ("no_aliasing", lambda: ReturnsInput(3), "shares memory with its input"),
    ("no_aliasing", lambda: ReturnsView(1), "shares memory with its input"),
    ("no_aliasing", lambda: ReturnsExpanded(3), "single memory location"),
    ("no_aliasing", lambda: ChangesInput(3), "changed its input"),
    ("no_aliasing", ReturnsItsTensor, "tensor of the operator"),
    ("derivatives", lambda: WrongForwardMode(3), "forward of A"),
    ("derivatives", lambda: NoSecondOrder(3), "reverse over reverse"),
    ("derivatives", lambda: SilentlyNoSecondOrder(3), "reverse over reverse"),
    ("derivatives", lambda: WrongBackward(3), "reverse of A"),
    ("derivatives", lambda: LosesGraph(3), "reverse of A"),
    ("derivatives", lambda: LosesGraphOfEmptyBatch(3), "empty batch"),
    ("functorch", lambda: WrongForwardMode(3), "jvp of A"),
    ("functorch", lambda: SilentlyNoSecondOrder(3), "setup_context"),
    ("functorch", lambda: WrongVmapRule(3), "vmap of A"),
    ("nested_functorch", lambda: ThroughNumpy(3), "linearize of A"),
    ("nested_functorch", lambda: SilentlyNoSecondOrder(3), "setup_context"),
    ("dtypes", lambda: CastsDown(3), "gives torch.float32"),
    ("dtypes", lambda: CastsUp(3), "gives torch.float64"),
    ("dtypes", lambda: NamelessHalf(3), "does not name the operator"),
    ("meta", lambda: ReadsAValue(3), "does it read a value"),
    ("meta", lambda: SelectsByMask(3), "does it read a value"),
    ("meta", lambda: UnregisteredTensor(numbers(3)), "unregistered tensor"),
    ("arrays", lambda: ArraysBecomeTensors(3), "gives a Tensor"),
    ("arrays", lambda: TransposedColumns(3), "matmat"),
    ("module", NotPicklable, "pickle"),
    ("module", lambda: PlainCasts(numbers(3, dtype=C128)), "torch.complex128"),
    ("module", lambda: NotInStateDict(numbers(3)), "state_dict"),
    ("module", lambda: UnregisteredTensor(numbers(3)), "neither a buffer nor a parameter"),
    ("module", lambda: AdjointOfACopy(nn.Parameter(numbers(3))), "other parameters"),
    ("fast_kernels", lambda: WrongFastKernel(numbers(5)), "off by"),
    ("fast_kernels", lambda: FastKernelChangesInput(numbers(5)), "changed its input"),
    ("fast_kernels", lambda: FastKernelNeedsContiguous(numbers(5)), "view size is not compatible"),
    ("fast_kernels", lambda: FastKernelOfRealNumbers(numbers(5)), "complex"),
    ("fast_kernels", lambda: FastKernelHidesTensor(numbers(5)), "unnoticed"),
    ("array_kernels", lambda: ArrayKernelLosesPrecision(numbers(5)), "gives float32, but float64"),
    ("array_kernels", lambda: WrongArrayAdjoint(numbers(5, dtype=C128)), "off by"),
    ("array_kernels", lambda: ArrayKernelHidesNaN(numbers(5)), "but through tensors"),
    ("array_kernels", lambda: ArrayKernelKeepsCopy(numbers(5)), "after a change of d in place"),
    ("array_kernels", lambda: ArrayKernelChangesInput(numbers(5)), "changed its input"),
    ("array_kernels", lambda: ArrayKernelAliases(numbers(5)), "shares memory with its input"),
    ("array_kernels", lambda: ArrayKernelSkipsHooks(numbers(5)), "hooks for a tensor"),
    ("compile", lambda: WrongWhenCompiled(3), "another result"),
    ("compile", lambda: WrongBackwardWhenCompiled(3), "compile: backward"),
    ("compile", lambda: BreaksGraph(3), r"compile: A\(x\)"),
    ("compile", lambda: ReadsAValue(3), r"compile: A\(x\)"),
    ("compiled_gradients", lambda: WrongWhenCompiled(3), r"vmap\(grad\) on .* another result"),
    ("compiled_gradients", lambda: BreaksGraph(3), r"compile: vmap\(grad\)"),
    ("compiled_jacobians", lambda: WrongWhenCompiled(3), "vmap on .* another result"),
    ("compiled_jacobians", lambda: BreaksGraph(3), "compile: vmap"),
    ("default_device", lambda: AllocatesElsewhere(3), "is memory allocated without device"),
    ("default_device", lambda: FastKernelAllocatesElsewhere(numbers(5)), "with fast kernels"),
    ("export", lambda: ReadsAValue(3), "export with a fixed shape"),
    ("export", lambda: FixesBatchSize(3), "export with any batch size"),
]


@pytest.mark.filterwarnings("ignore:.*CUDA initialization")
@pytest.mark.parametrize(("promise", "make", "says"), FAULTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_planted_faults_fail(promise: str, make: Callable[[], LinearOperator], says: str) -> None:
    operator = make()
    with pytest.raises(AssertionError, match=says) as caught:
        testing.PROMISES[promise].check(operator)
    assert str(caught.value).startswith(operator.name_and_type)


def test_every_promise_has_a_planted_fault() -> None:
    assert {promise for promise, _, _ in FAULTS} == set(testing.PROMISES)


# -- builders with a fault -------------------------------------------------------------------------------------


class CachesSpectrum(LinearOperator):
    """What is derived from the tensor is computed once: gradients and changes in place are lost."""

    def __init__(self, d: Tensor) -> None:
        super().__init__(dims=tuple(d.shape))
        self._register("d", d)
        self.squares = (self.d * self.d).detach()

    def _forward(self, x: Tensor) -> Tensor:
        return self.squares * x

    _adjoint = _forward


class CachesWithGraph(CachesSpectrum):
    """Keeps the graph, so that the gradients are right, but not a change in place."""

    def __init__(self, d: Tensor) -> None:
        LinearOperator.__init__(self, tuple(d.shape))
        self._register("d", d)
        self.squares = self.d * self.d


class Detaches(Weights):
    def __init__(self, d: Tensor) -> None:
        super().__init__(d.detach())


class CopiesParameter(Weights):
    def __init__(self, d: Tensor) -> None:
        super().__init__(1 * d)


class WrongGradientOfTensor(Weights):
    def _forward(self, x: Tensor) -> Tensor:
        return self.d.detach() * x + 2 * (self.d - self.d.detach()) * x


class ReadsItsTensor(Weights):
    def __init__(self, d: Tensor) -> None:
        super().__init__(d)
        self.is_positive = bool(d.detach().sum() > 0)


class BreaksGraphInside(Weights):
    def __init__(self, d: Tensor) -> None:
        super().__init__(d)
        torch._dynamo.graph_break()


@pytest.mark.parametrize(
    ("promise", "build", "says"),
    [
        ("tensor_gradients", CachesSpectrum, "gradients to its tensors"),
        ("tensor_gradients", CachesWithGraph, "changed in place"),
        ("tensor_gradients", Detaches, "gradients to its tensors"),
        ("tensor_gradients", CopiesParameter, "parameter"),
        ("tensor_gradients", WrongGradientOfTensor, "gradients to its tensors"),
        ("tensor_gradients", ReadsItsTensor, "built inside vmap"),
        ("compiled_building", BreaksGraphInside, "built inside torch.compile"),
    ],
)
def test_planted_faults_of_builders_fail(promise: str, build: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        testing.BUILDER_PROMISES[promise].check(build, [numbers(4).abs() + 0.5])


def test_messages_name_the_operator() -> None:
    operator = ScaledAdjoint(4, name="half")
    with pytest.raises(AssertionError, match=r"^ScaledAdjoint 'half': adjoint: .* fitted factor"):
        testing.check_adjoint(operator)
