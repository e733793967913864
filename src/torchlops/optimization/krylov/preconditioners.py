"""Ready preconditioners: approximate inverses of an operator that cost little to apply.

Each is an operator, and the argument ``M`` of ``cg``, ``minres``, ``gmres`` and ``bicgstab``. They are made once, from
the operator as it is then, without a graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchlops.arrays import conjugate
from torchlops.linearoperator import LinearOperator


class _Preconditioner(LinearOperator):
    """Base: models of ``A`` to models of ``A``."""

    def __init__(self, A: LinearOperator) -> None:
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"a preconditioner needs a square operator, {A.name_and_type} is {A.shape}")
        super().__init__(A.dimsd, A.dims, dtype=A._torch_dtype(), real_model=A.real_model)

    def _forward(self, x: Tensor) -> Tensor:
        return self._on_axes(x, self.dims, self.dimsd, False)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._on_axes(y, self.dimsd, self.dims, True)

    def _on_axes(self, x: Tensor, dims: tuple[int, ...], dimsd: tuple[int, ...], adjoint: bool) -> Tensor:
        batch = x.shape[: x.ndim - len(dims)]
        y = self._multiply(x.reshape(*batch, self.shape[0]), adjoint)
        if y.is_complex() and not x.is_complex() and not self._torch_dtype().is_complex:
            y = y.real.contiguous()
        return y.reshape(*batch, *dimsd)

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        """Return the product with vectors ``(*batch, n)``, which may be complex for real ones of a real operator."""
        raise NotImplementedError


class DiagonalPreconditioner(_Preconditioner):
    r"""The inverse of the diagonal of an operator (Jacobi).

    Args:
        A: The operator.
        probes: Number of random signs :math:`z` in the estimate :math:`\mathrm{mean}(z \cdot A z)` of the diagonal;
            by default the diagonal is exact, at the cost of the matrix.
        generator: Source of the random signs.

    Example:
        >>> import torchlops
        >>> M = DiagonalPreconditioner(torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [1.0, 4.0]])))
        >>> M(torch.ones(2))
        tensor([0.5000, 0.2500])
    """

    def __init__(self, A: LinearOperator, probes: int | None = None, generator: torch.Generator | None = None) -> None:
        super().__init__(A)
        with torch.no_grad():
            if probes is None:
                diagonal = A.todense(backend="torch").diagonal()
            else:
                signs = torch.randint(0, 2, (probes, *A.dims), generator=generator) * 2 - 1
                z = signs.to(A._device(), A._torch_dtype())
                diagonal = (z * A.apply_nd(z, False).reshape(z.shape)).mean(0).flatten()
        self._register("reciprocal", torch.where(diagonal == 0, 1.0, 1 / diagonal))
        self.reciprocal: Tensor

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        return x * (conjugate(self.reciprocal) if adjoint else self.reciprocal)


class BlockDiagonalPreconditioner(_Preconditioner):
    """The inverses of the diagonal blocks of an operator.

    Args:
        A: The operator.
        size: Size of a block, which divides that of the (flattened) model.

    Example:
        >>> import torchlops
        >>> A = torchlops.MatrixMult(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        >>> torch.allclose(A(BlockDiagonalPreconditioner(A, 2)(torch.ones(2))), torch.ones(2))
        True
    """

    def __init__(self, A: LinearOperator, size: int) -> None:
        super().__init__(A)
        rows = A.shape[1]
        if size < 1 or rows % size:
            raise ValueError(f"size must divide {rows}, the size of the model, got {size}")
        with torch.no_grad():
            matrix = A.todense(backend="torch")
            blocks = matrix.reshape(-1, size, rows // size, size).diagonal(dim1=0, dim2=2).movedim(-1, 0)
            self._register("inverses", torch.linalg.inv(blocks))
        self.inverses: Tensor

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        x, inverses = _promoted(x, conjugate(self.inverses).mT if adjoint else self.inverses)
        blocks = x.reshape(*x.shape[:-1], *inverses.shape[:2], 1)
        return (inverses @ blocks).flatten(-3)


class CirculantPreconditioner(_Preconditioner):
    r"""The inverse of the circulant operator with the impulse response of an operator in the middle of the model.

    :math:`M = F^H \Lambda^{-1} F` with the Fourier transform :math:`F` over all axes: for operators that are nearly
    shift invariant (convolutions, derivatives, their normal operators).

    Args:
        A: The operator; models and data have the same shape.
        floor: Smallest modulus of :math:`\Lambda`, relative to the largest.
        hermitian: Whether the operator is Hermitian positive definite; then the moduli of :math:`\Lambda` are used,
            and so is ``M``.

    Example:
        >>> import torchlops
        >>> A = torchlops.Identity(4, dtype="float32")
        >>> CirculantPreconditioner(2 * A)(torch.ones(4))
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """

    def __init__(self, A: LinearOperator, floor: float = 1e-6, hermitian: bool = True) -> None:
        super().__init__(A)
        if A.dims != A.dimsd:
            raise ValueError(f"models and data must have the same shape, got {A.dims} and {A.dimsd}")
        self.axes = tuple(range(-len(A.dims), 0))
        with torch.no_grad():
            impulse = torch.zeros(A.dims, dtype=A._torch_dtype(), device=A._device())
            middle = tuple(size // 2 for size in A.dims)
            impulse[middle] = 1
            response = A.apply_nd(impulse, False).roll([-shift for shift in middle], self.axes)
            spectrum = torch.fft.fftn(response, dim=self.axes)
            modulus = spectrum.abs().clamp(min=floor * spectrum.abs().max().item())
            inverse = 1 / modulus if hermitian else spectrum.conj().resolve_conj() / modulus**2
        self._register("reciprocal", inverse)
        self.reciprocal: Tensor

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:
        spectrum = torch.fft.fftn(x.reshape(*x.shape[:-1], *self.dims), dim=self.axes)
        filtered = spectrum * (conjugate(self.reciprocal) if adjoint else self.reciprocal)
        y: Tensor = torch.fft.ifftn(filtered, dim=self.axes)
        return y.reshape(x.shape)


class NystromPreconditioner(_Preconditioner):
    r"""A randomised low-rank approximation of a positive semi-definite operator, inverted with a shift.

    .. math:: M = (\lambda_k + \mu) \, U (\Lambda + \mu I)^{-1} U^H + (I - U U^H)

    for :math:`A + \mu I`, where :math:`U \Lambda U^H` is the Nyström approximation of :math:`A`.

    Args:
        A: The operator, without the shift.
        rank: Number of eigenvalues.
        shift: The shift :math:`\mu > 0`, which is ``damp`` of the solver.
        generator: Source of the random test matrix.

    Source: Z. Frangella, J. A. Tropp and M. Udell, Randomized Nyström preconditioning, SIAM J. Matrix Anal. Appl. 44
    (2023), 718-752.

    Example:
        >>> import torchlops
        >>> A = torchlops.Diagonal(torch.tensor([1e4, 1.0, 1.0]))
        >>> M = NystromPreconditioner(A, 2, shift=1.0, generator=torch.Generator().manual_seed(0))
        >>> from torchlops.optimization import cg
        >>> cg(A, torch.ones(3), M=M, damp=1.0, tol=0, rtol=1e-4).iiter <= 2
        True
    """

    def __init__(self, A: LinearOperator, rank: int, shift: float, generator: torch.Generator | None = None) -> None:
        super().__init__(A)
        size = A.shape[1]
        if not 1 <= rank <= size:
            raise ValueError(f"rank must be between 1 and {size}, got {rank}")
        if shift <= 0:
            raise ValueError(f"shift must be positive, got {shift}")
        dtype = A._torch_dtype()
        with torch.no_grad():
            start = torch.randn(size, rank, dtype=dtype, generator=generator).to(A._device() or torch.device("cpu"))
            test = torch.linalg.qr(start).Q
            sketch = A.apply_nd(test.mT.reshape(rank, *A.dims).contiguous(), False).reshape(rank, size).mT
            tiny = torch.finfo(dtype).eps * torch.linalg.matrix_norm(sketch)
            sketch = sketch + tiny * test
            core = test.mH @ sketch
            root = torch.linalg.cholesky((core + core.mH) / 2)
            factor = torch.linalg.solve_triangular(root, sketch.mH, upper=False).mH
            U, s, _ = torch.linalg.svd(factor, full_matrices=False)
            values = (s**2 - tiny).clamp(min=0)
            self._register("U", U.contiguous())
            self._register("weights", (values[-1] + shift) / (values + shift) - 1)
        self.U: Tensor
        self.weights: Tensor

    def _multiply(self, x: Tensor, adjoint: bool) -> Tensor:  # noqa: ARG002
        x, U = _promoted(x, self.U)
        return x + (x @ conjugate(U) * self.weights) @ U.mT


def _promoted(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(a.dtype, b.dtype)
    return a.to(dtype), b.to(dtype)
