"""Ready preconditioners; see ``krylov/preconditioners.py``."""

from torchlops.optimization.krylov.preconditioners import (
    BlockDiagonalPreconditioner,
    CirculantPreconditioner,
    DiagonalPreconditioner,
    NystromPreconditioner,
)

__all__ = ["BlockDiagonalPreconditioner", "CirculantPreconditioner", "DiagonalPreconditioner", "NystromPreconditioner"]
