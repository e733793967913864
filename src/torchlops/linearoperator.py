"""The contract: what an operator has to say, and everything that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from torchlops.arrays import (
    HALF_PRECISIONS,
    DType,
    as_tensor,
    complex_dtype,
    from_array,
    numpy_dtype,
    real_dtype,
    to_numpy,
    torch_dtype,
)
from torchlops.autograd import FAST_FROM, run_fast
from torchlops.shapes import Dims, accept_pylops_options, as_dims

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class LinearOperator(nn.Module):
    r"""A linear operator :math:`y = A x`, with its adjoint, as a PyTorch module.

    Subclasses write ``_forward`` (:math:`A x`) and, unless it is to be derived from ``_forward`` by automatic
    differentiation, ``_adjoint`` (:math:`A^H y`). Both take and give tensors of shape ``(*batch, *dims)`` and
    ``(*batch, *dimsd)``, already checked, with any number of leading batch axes, so they count axes from the
    end. They are plain differentiable torch code; everything else is here.

    An operator is called as ``A(x)`` on ``(*batch, *dims)`` or flattened ``(*batch, prod(dims))`` arrays and
    answers in kind; where both readings fit, the first wins. ``A @ x`` reads ``A`` as a matrix: ``x`` is one
    model, or several as columns in its last axis. NumPy arrays, and others that speak DLPack, come back as
    what they were. Arithmetic runs in ``torch.result_type`` of the input and the operator's tensors.

    Args:
        dims: Shape of one model.
        dimsd: Shape of one data; ``dims`` where it is left out.
        dtype: The type that :attr:`dtype`, ``todense`` and SciPy see. It labels the operator, as in PyLops,
            and casts nothing; by default that of the operator's tensors, or float64 where it has none.
        clinear: False for an operator that is linear over the real numbers only. Its adjoint is then the one
            under :math:`\mathrm{Re}\langle\cdot,\cdot\rangle`.
        real_model: True for an operator that takes real models only, and raises on complex ones.
        name: A name for errors and pictures.
        shape: ``(prod(dimsd), prod(dims))``, in the place of ``dims`` and ``dimsd``.
        explicit: See :func:`~torchlops.shapes.accept_pylops_options`.
        forceflat: See there.

    A subclass written for PyLops, with ``_matvec`` and ``_rmatvec`` on flat NumPy vectors, works as it stands: as
    a foreign operator (see ``foreign.py``).

    Raises:
        ValueError: when neither ``dims`` nor ``shape`` is given, or sizes are not positive.

    Example:
        >>> class Flip(LinearOperator):
        ...     def _forward(self, x):
        ...         return x.flip(-1)
        >>> A = Flip(dims=3)
        >>> A(torch.tensor([1.0, 2.0, 3.0])), A.H.shape
        (tensor([3., 2., 1.]), (3, 3))
    """

    __array_ufunc__ = None  # so that NumPy leaves `array @ A` and `number * A` to us
    _has_fast_kernels = False
    _work = 1  # about how many operations the operator does for a sample of its input

    def __init__(
        self,
        dims: Dims | None = None,
        dimsd: Dims | None = None,
        dtype: DType | None = None,
        clinear: bool = True,
        real_model: bool = False,
        name: str | None = None,
        shape: tuple[int, int] | None = None,
        explicit: bool | None = None,
        forceflat: bool | None = None,
    ) -> None:
        accept_pylops_options(explicit=explicit, forceflat=forceflat)
        super().__init__()
        if dims is None:
            if shape is None:
                raise ValueError(f"{type(self).__name__} needs dims (the shape of one model) or shape (rows, columns)")
            dims, dimsd = shape[1], shape[0] if dimsd is None else dimsd
        self.dims: tuple[int, ...] = as_dims(dims)
        self.dimsd: tuple[int, ...] = self.dims if dimsd is None else as_dims(dimsd, "dimsd")
        self.clinear = clinear
        self.real_model = real_model
        self.name = name
        self._declared_dtype = None if dtype is None else torch_dtype(dtype)
        self._tensor_names: tuple[str, ...] = ()
        if hasattr(type(self), "_matvec"):
            from torchlops.foreign import FlatMethods, ForeignOperator  # it imports this module

            self._foreign = ForeignOperator(
                FlatMethods(self), self.dims, self.dimsd, dtype or "float64", clinear, real_model, name
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._has_fast_kernels = cls._fast_forward is not LinearOperator._fast_forward

    # -- what a subclass writes ------------------------------------------------------------------------------

    def _forward(self, x: Tensor, /) -> Tensor:
        """Return ``A x`` for ``x`` of shape ``(*batch, *dims)``."""
        if hasattr(type(self), "_matvec"):
            return self._foreign._run(x, False)
        raise NotImplementedError(f"{type(self).__name__} must define _forward(self, x)")

    def _adjoint(self, y: Tensor, /) -> Tensor:
        """Return ``A^H y`` for ``y`` of shape ``(*batch, *dimsd)``; derived from ``_forward`` by default."""
        if hasattr(type(self), "_matvec"):
            return self._foreign._run(y, True)
        dtype = promote([y.dtype, *(tensor.dtype for tensor in self._given_tensors())])
        if self._torch_dtype().is_complex:
            dtype = complex_dtype(dtype)
        if self.real_model:
            dtype = real_dtype(dtype)
        model = y.new_zeros((*y.shape[: y.ndim - len(self.dimsd)], *self.dims), dtype=dtype)
        pulled = torch.func.vjp(self._forward, model)
        data, pullback = pulled[0], pulled[1]
        cotangent = y if data.is_complex() or not y.is_complex() else y.real
        result: Tensor = pullback(cotangent.to(data.dtype))[0]
        return result

    def _fast_forward(self, x: Tensor, /) -> Tensor:
        """Return ``A x`` by a kernel that autograd need not follow; see ``autograd.py``."""
        raise NotImplementedError

    def _fast_adjoint(self, y: Tensor, /) -> Tensor:
        """Return ``A^H y`` by a kernel that autograd need not follow."""
        raise NotImplementedError

    def _is_fast_for(self, x: Tensor, adjoint: bool) -> bool:  # noqa: ARG002
        """Whether the fast kernel is the faster one for this ``x``."""
        return True

    def _inverse(self, y: Tensor, /) -> Tensor:
        """Return the exact solution of ``A x = y``, where the operator knows one."""
        raise NotImplementedError

    def _register(self, name: str, value: Any, dtype: DType | None = None) -> Tensor:
        """Make ``value`` a tensor of this operator: a parameter stays one, anything else becomes a buffer."""
        tensor = as_tensor(value, f"{type(self).__name__}: {name}", dtype)
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)
        self._tensor_names += (name,)
        return tensor

    # -- applying --------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        """Return ``A x`` for ``(*batch, *dims)`` or flattened ``(*batch, prod(dims))`` arrays."""
        if isinstance(x, Tensor):
            return self._apply_to(x, False)
        return self._through_arrays(x, lambda tensor: self._apply_to(tensor, False))

    def adjoint(self, y: Any = None) -> Any:
        """Return the operator ``A^H``, or, given data ``y``, the model ``A^H y``."""
        if y is None:
            return self.H
        if isinstance(y, Tensor):
            return self._apply_to(y, True)
        return self._through_arrays(y, lambda tensor: self._apply_to(tensor, True))

    def _apply_to(self, x: Tensor, adjoint: bool) -> Tensor:
        dims = self.dimsd if adjoint else self.dims
        if x.shape[-len(dims) :] == dims:
            return self._run(x, adjoint)
        size = math.prod(dims)
        if x.ndim == 0 or x.shape[-1] != size:
            raise self._wrong_shape(x, adjoint)
        batch = x.shape[:-1]
        out = self._run(x.reshape((*batch, *dims)), adjoint)
        return out.reshape((*batch, math.prod(self.dims if adjoint else self.dimsd)))

    def _run(self, x: Tensor, adjoint: bool) -> Tensor:
        """Apply the operator to a tensor of the right shape by the kernel that is safe and fast."""
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(
                f"{self.name_and_type} takes floating-point or complex tensors, got {x.dtype}: "
                "cast it first, for example by x.to(torch.float64)"
            )
        if self.real_model and not adjoint and x.is_complex():
            raise TypeError(
                f"{self.name_and_type} takes real models, got {x.dtype}: its imaginary part would be lost. "
                "Give it x.real, or build the operator for complex models."
            )
        if self._has_fast_kernels and not torch.compiler.is_compiling() and x.numel() * self._work >= FAST_FROM:
            result = run_fast(self, x, adjoint)
            if result is not None:
                return result
        if x.dtype in HALF_PRECISIONS:
            return self._run_half(x, adjoint)
        return self._adjoint(x) if adjoint else self._forward(x)

    def _run_half(self, x: Tensor, adjoint: bool) -> Tensor:
        try:
            return self._adjoint(x) if adjoint else self._forward(x)
        except RuntimeError as error:
            if self.name_and_type in str(error):
                raise
            raise TypeError(
                f"{self.name_and_type} does not work on {x.dtype} on this device, since torch lacks a kernel: "
                f"cast its input, for example by x.float(). torch says: {error}"
            ) from error

    def _through_arrays(self, x: Any, apply: Callable[[Tensor], Tensor]) -> Any:
        tensor, back = from_array(x, self.name_and_type)
        with torch.no_grad():
            return back(apply(tensor))

    def _wrong_shape(self, x: Any, adjoint: bool) -> ValueError:
        dims = self.dimsd if adjoint else self.dims
        name = f"{self.name_and_type}.H" if adjoint else self.name_and_type
        nd = ", ".join(map(str, dims))
        flat = "" if len(dims) == 1 else f" or flattened (*batch, {math.prod(dims)})"
        return ValueError(
            f"{name} takes (*batch, {nd}){flat}, got {tuple(x.shape)}. "
            "Batch axes come first; the matrix product A @ x takes columns last."
        )

    # -- the matrix reading ----------------------------------------------------------------------------------

    def dot(self, x: Any) -> Any:
        """Return ``A @ x``: the product with an operator, a number, a vector, a model, or columns of them."""
        if isinstance(x, LinearOperator) or _is_scalar(x):
            return self * x
        return self._matrix_product(x, False)

    def _matrix_product(self, x: Any, adjoint: bool) -> Any:
        if not isinstance(x, Tensor):
            return self._through_arrays(x, lambda tensor: self._matrix_product(tensor, adjoint))
        dims = self.dimsd if adjoint else self.dims
        size = math.prod(dims)
        shape = tuple(x.shape)
        if shape in (dims, (size,)):
            return self._apply_to(x, adjoint)
        if shape[:-1] == dims:
            return self._run(x.movedim(-1, 0), adjoint).movedim(0, -1).contiguous()
        if x.ndim == 2 and shape[0] == size:
            out = self._apply_to(x.mT, adjoint)
            return out.reshape(x.shape[1], math.prod(self.dims if adjoint else self.dimsd)).mT.contiguous()
        one = f"({size},)" if len(dims) == 1 else f"({size},) or {dims}"
        several = f"({size}, K)" if len(dims) == 1 else f"({size}, K) or ({', '.join(map(str, dims))}, K)"
        raise ValueError(
            f"{self.name_and_type}{'.H' if adjoint else ''} @ x takes x of shape {one}, or columns of them, "
            f"{several}; got {shape}. A batch in leading axes is for A(x)."
        )

    def matvec(self, x: Any) -> Any:
        """Return ``A x`` for a vector ``(N,)`` or a column ``(N, 1)``."""
        return self._vector_product(x, False)

    def rmatvec(self, y: Any) -> Any:
        """Return ``A^H y`` for a vector ``(M,)`` or a column ``(M, 1)``."""
        return self._vector_product(y, True)

    def matmat(self, x: Any) -> Any:
        """Return ``A X`` for a matrix ``(N, K)``."""
        return self._columns_product(x, False)

    def rmatmat(self, y: Any) -> Any:
        """Return ``A^H Y`` for a matrix ``(M, K)``."""
        return self._columns_product(y, True)

    def _vector_product(self, x: Any, adjoint: bool) -> Any:
        size = self.shape[0 if adjoint else 1]
        if tuple(x.shape) not in ((size,), (size, 1)):
            raise ValueError(
                f"{'rmatvec' if adjoint else 'matvec'} of {self.name_and_type} takes ({size},) or ({size}, 1), "
                f"got {tuple(x.shape)}"
            )
        out = (self.adjoint if adjoint else self)(x.reshape(size)).reshape(self.shape[1 if adjoint else 0])
        return out if x.ndim == 1 else out[:, None]

    def _columns_product(self, x: Any, adjoint: bool) -> Any:
        size = self.shape[0 if adjoint else 1]
        if x.ndim != 2 or x.shape[0] != size:
            raise ValueError(
                f"{'rmatmat' if adjoint else 'matmat'} of {self.name_and_type} takes ({size}, K), got {tuple(x.shape)}"
            )
        if not isinstance(x, Tensor):
            return self._through_arrays(x, lambda tensor: self._columns_product(tensor, adjoint))
        dims, out = (self.dimsd, self.dims) if adjoint else (self.dims, self.dimsd)
        columns = self._run(x.mT.reshape(x.shape[1], *dims), adjoint)
        return columns.reshape(x.shape[1], math.prod(out)).mT.contiguous()

    def todense(self, backend: str = "numpy") -> Any:
        """Return the matrix of the operator: a NumPy array, or with ``backend="torch"`` a tensor with its graph."""
        if backend not in ("numpy", "torch"):
            raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
        device = self._device() or ("cpu" if backend == "numpy" else None)
        dtype = self._torch_dtype()
        rows, columns = self.shape
        if rows < columns and self.clinear:
            units = torch.eye(rows, dtype=dtype, device=device)
            matrix = self._run(units.reshape(rows, *self.dimsd), True).reshape(rows, columns).conj()
        else:
            dtype = real_dtype(dtype) if self.real_model else dtype
            units = torch.eye(columns, dtype=dtype, device=device)
            matrix = self._run(units.reshape(columns, *self.dims), False).reshape(columns, rows).mT
        matrix = matrix.resolve_conj().contiguous()
        return matrix if backend == "torch" else to_numpy(matrix)

    def tosparse(self) -> csr_matrix:
        """Return the matrix of the operator as a SciPy CSR matrix."""
        from scipy.sparse import csr_matrix

        return csr_matrix(self.todense())

    # -- the spectrum ----------------------------------------------------------------------------------------

    def eigs(
        self,
        neigs: int | None = None,
        symmetric: bool = False,
        niter: int | None = None,
        uselobpcg: bool = False,
        **kwargs_eig: Any,
    ) -> Any:
        """Return eigenvalues, largest (in modulus, where complex) first; singular values of a rectangular operator.

        Args:
            neigs: How many; all by default.
            symmetric: Whether the operator is Hermitian; its eigenvalues are then real.
            niter: Most iterations (of Lanczos, restarts) where the operator is large.
            uselobpcg: Use LOBPCG, for Hermitian operators.
            **kwargs_eig: Arguments of SciPy's ``eigs``, ``eigsh`` or ``lobpcg``, which then does it.

        Raises:
            TypeError: for an operator that is linear over the real numbers only.
        """
        return self._spectrum().eigs(self, neigs, symmetric, niter, uselobpcg, **kwargs_eig)

    def svds(self, k: int = 6, which: str = "LM", niter: int | None = None) -> tuple[Any, Any, Any]:
        """Return ``U, s, Vh`` of the ``k`` largest (``which="LM"``) or smallest (``"SM"``) singular values."""
        result: tuple[Any, Any, Any] = self._spectrum().svds(self, k, which, niter)
        return result

    def cond(self) -> float:
        """Return the condition number: the ratio of the largest to the smallest singular value.

        (PyLops gives a ratio of eigenvalues.) A singular operator has the condition number infinity.
        """
        return float(self._spectrum().cond(self))

    def norm(self, kind: str | int = 2) -> float:
        """Return the spectral norm (``kind=2``, the largest singular value) or the Frobenius norm (``"fro"``).

        As a tensor with its derivative, the former is ``torchlops.optimization.eigs.operator_norm``.
        """
        return float(self._spectrum().norm(self, kind))

    def trace(self, neval: int | None = None, method: str | None = None, **kwargs: Any) -> Any:
        """Return the trace: exact while that is cheap, otherwise, or where asked for, by a stochastic estimator.

        Args:
            neval: Number of random vectors.
            method: ``hutchinson``, ``hutch++`` or ``na-hutch++``; see ``torchlops.utils.estimators``. (PyLops
                estimates by default.)
            **kwargs: Further arguments of the estimator.
        """
        return self._spectrum().trace(self, neval, method, **kwargs)

    def logdet(self, nprobes: int | None = None, niter: int = 30, generator: torch.Generator | None = None) -> float:
        """Return the log-determinant of a Hermitian positive definite operator: exact while that is cheap.

        Otherwise, or with ``nprobes``, it is an estimate: ``torchlops.optimization.eigs.logdet`` gives its standard
        error too, and derivatives.

        Args:
            nprobes: Number of random vectors.
            niter: Lanczos steps for each.
            generator: Source of the random vectors.
        """
        return float(self._spectrum().logdet(self, nprobes, niter, generator))

    @staticmethod
    def _spectrum() -> Any:
        from torchlops import spectrum  # it imports this module

        return spectrum

    def div(self, y: Any, niter: int = 100, densesolver: str | None = None) -> Any:  # noqa: ARG002
        """Return the solution of ``A x = y``: exact where the operator knows its inverse, else by least squares.

        Args:
            y: Data, ``(*batch, *dimsd)`` or flattened.
            niter: Most iterations of LSQR, which solves where the operator does not.
            densesolver: Accepted and ignored.
        """
        if type(self)._inverse is not LinearOperator._inverse:
            try:
                return self._divide_exactly(y)
            except NotImplementedError:  # not for this one, a rectangular matrix for example
                pass
        from torchlops.optimization import lsqr  # it imports this module

        return lsqr(self, y, niter=niter, calc_var=False).x

    def _divide_exactly(self, y: Any) -> Any:
        if not isinstance(y, Tensor):
            return self._through_arrays(y, self._divide_exactly)
        nd = y.shape[-len(self.dimsd) :] == self.dimsd
        if not nd and (y.ndim == 0 or y.shape[-1] != self.shape[0]):
            raise self._wrong_shape(y, True)
        batch = y.shape[: -len(self.dimsd)] if nd else y.shape[:-1]
        x = self._inverse(y.reshape((*batch, *self.dimsd)))
        return x if nd else x.reshape((*batch, self.shape[1]))

    def inverse(self, solver: Any = "gmres", **options: Any) -> Any:
        """Return the inverse of a square operator as an operator, which solves when it is applied.

        It composes, transposes and differentiates like any other, to the tolerance of the solver. Given data ``y``
        in the place of a solver's name, as the transforms of PyLops take them, it is ``A / y``.

        Args:
            solver: ``"cg"``, ``"minres"``, ``"gmres"`` or ``"bicgstab"``, or a least-squares solver; or data.
            **options: Arguments of that function of ``torchlops.optimization``.
        """
        if not isinstance(solver, str):
            return self.div(solver, **options)
        from torchlops.optimization.inverse import InverseOperator  # it imports this module

        return InverseOperator(self, solver, **options)

    def pinv(self, solver: str = "lsmr", **options: Any) -> LinearOperator:
        """Return the pseudo-inverse (with ``damp``: the regularised one) as an operator that solves when applied.

        Args:
            solver: ``"cgls"``, ``"lsqr"`` or ``"lsmr"``.
            **options: Arguments of that function of ``torchlops.optimization``.
        """
        from torchlops.optimization.inverse import InverseOperator  # it imports this module

        return InverseOperator(self, solver, **options)

    # -- algebra ---------------------------------------------------------------------------------------------

    @property
    def H(self) -> LinearOperator:
        """The adjoint, a view that shares this operator's tensors."""
        return algebra.AdjointOperator(self)

    @property
    def T(self) -> LinearOperator:
        """The transpose ``conj(A^H conj(y))``, a view that shares this operator's tensors."""
        return algebra.TransposedOperator(self)

    def transpose(self) -> LinearOperator:
        """Return the transpose ``A.T``."""
        return self.T

    def conj(self) -> LinearOperator:
        """Return the conjugate operator, which gives the conjugate of ``A`` on the conjugate of ``x``."""
        return algebra.ConjugatedOperator(self)

    def toreal(self, forw: bool = True, adj: bool = True) -> LinearOperator:
        """Return ``Re A Re``: the real part of the data (``forw``) of the real part of the model (``adj``).

        PyLops takes the real part of what the forward (``forw``) and the adjoint (``adj``) give. On real
        vectors that is the same; this one is also a pair of adjoints on complex ones.
        """
        return algebra.PartOperator(self, "real", forw, adj)

    def toimag(self, forw: bool = True, adj: bool = True) -> LinearOperator:
        """Return ``Im A Re``: the imaginary part of the data (``forw``) of the real part of the model (``adj``).

        The adjoint is the exact one; the imaginary part of ``A^H y``, which PyLops gives, has its sign wrong.
        """
        return algebra.PartOperator(self, "imag", forw, adj)

    def apply_columns(self, cols: Sequence[int]) -> LinearOperator:
        """Return the operator made of the columns ``cols`` of this one."""
        return algebra.ColumnsOperator(self, cols)

    def __matmul__(self, x: Any) -> Any:
        if isinstance(x, LinearOperator):
            return algebra.product(self, x)
        if _is_scalar(x):
            raise TypeError(f"{self.name_and_type} @ number: write number * A")
        return self._matrix_product(x, False)

    def __rmatmul__(self, x: Any) -> Any:
        return self.T(x)

    def __mul__(self, x: Any) -> Any:
        if isinstance(x, LinearOperator):
            return algebra.product(self, x)
        if _is_scalar(x):
            return algebra.scaled(x, self)
        return self._matrix_product(x, False)

    def __rmul__(self, x: Any) -> Any:
        return algebra.scaled(x, self) if _is_scalar(x) else NotImplemented

    def __truediv__(self, x: Any) -> Any:
        if isinstance(x, LinearOperator):
            return NotImplemented
        return algebra.divided(self, x) if _is_scalar(x) else self.div(x)

    def __neg__(self) -> LinearOperator:
        return algebra.scaled(-1, self)

    def __add__(self, x: Any) -> Any:
        if isinstance(x, LinearOperator):
            return algebra.added(self, x)
        return self if isinstance(x, int) and x == 0 else NotImplemented

    __radd__ = __add__  # so that sum([A, B]) works, which starts from 0

    def __sub__(self, x: Any) -> Any:
        return algebra.added(self, -x) if isinstance(x, LinearOperator) else NotImplemented

    def __pow__(self, n: int) -> LinearOperator:
        return algebra.power(self, n)

    def _is_identity(self) -> bool:
        return False

    def _leaves(self) -> tuple[nn.Module, ...]:
        """Return the modules that hold the tensors of this operator, in a composition each once."""
        return (self,)

    # -- what there is to know -------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns: ``(prod(dimsd), prod(dims))``."""
        return math.prod(self.dimsd), math.prod(self.dims)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype that labels the operator (what SciPy and PyLops code ask for)."""
        return numpy_dtype(self._torch_dtype())

    def _torch_dtype(self) -> torch.dtype:
        dtypes = [] if self._declared_dtype is None else [self._declared_dtype]
        dtypes += [t.dtype for t in self._own_tensors() if t.is_floating_point() or t.is_complex()]
        return promote(dtypes)

    def _own_tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, name) for name in self._tensor_names)

    def _all_tensors(self) -> tuple[Tensor, ...]:
        return (*self.parameters(), *self.buffers())

    def _device(self) -> torch.device | None:
        """Return where the tensors of this operator are; None, which is the default device, where it has none."""
        tensors = self._all_tensors()
        return tensors[0].device if tensors else None

    def _given_tensors(self) -> list[Tensor]:
        """Return the floating and complex tensors that this operator and its parts were built from.

        They take part in the dtype of the result, which constants made from arrays and numbers do not.
        """
        given: list[Tensor] = []
        for module in self.modules():
            if isinstance(module, LinearOperator):
                given += module._own_tensors()
            else:
                given += [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        return [tensor for tensor in given if tensor.is_floating_point() or tensor.is_complex()]

    @property
    def name_and_type(self) -> str:
        """How errors call this operator."""
        return type(self).__name__ if self.name is None else f"{type(self).__name__} '{self.name}'"

    def expression(self) -> str:
        """Return the composition as it would be written."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<{rows}x{columns} {self.expression()}: {self.dims} -> {self.dimsd}, {self.dtype}>"

    # -- the module ------------------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LinearOperator:
        """Move or cast the tensors, keeping complex ones complex and integers integer (``nn.Module`` does not)."""

        def keep_field(tensor: Tensor) -> Tensor:
            if tensor.is_complex():
                parts = fn(torch.view_as_real(tensor))
                if parts.dtype == torch.bfloat16:
                    raise TypeError(
                        f"{self.name_and_type} has complex tensors, and there is no complex type of bfloat16: "
                        "cast it to float16, float32 or float64"
                    )
                return fn(tensor) if parts.is_complex() else torch.view_as_complex(parts)
            moved = fn(tensor)
            if not tensor.is_floating_point() and moved.dtype != tensor.dtype:
                return tensor.to(moved.device)
            return moved

        super()._apply(keep_field, recurse)  # type: ignore[no-untyped-call]
        if self._declared_dtype is not None:
            is_complex = self._declared_dtype.is_complex
            cast = fn(torch.empty(1, dtype=real_dtype(self._declared_dtype), device="cpu")).dtype
            self._declared_dtype = complex_dtype(cast) if is_complex else cast
        return self


def promote(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """Return the dtype that holds the values of all ``dtypes``; float64 where there is none."""
    if not dtypes:
        return torch.float64
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = torch.promote_types(result, dtype)
    return result


def _is_scalar(x: Any) -> bool:
    return isinstance(x, Number) or (hasattr(x, "shape") and tuple(x.shape) == () and not isinstance(x, LinearOperator))


from torchlops import algebra  # noqa: E402  (operators made of operators are operators: each needs the other)
