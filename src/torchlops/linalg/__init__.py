r"""Linear algebra of operators, with the names and conventions of ``torch.linalg``.

All functions return tensors that are differentiable in every mode and to any order, with respect to the data and to the
tensors of the operator. A batch of data has leading axes. For a batch of operators, build the operator inside
``torch.vmap``; iterative methods then run sample by sample.

**Dense or iterative.** If the matrix of an operator is small, it is formed, and the result is exact. For larger
operators, iterative methods need only products with the operator. ``method="dense"`` and ``method="iterative"`` select
one explicitly; passing an option of the iteration selects the iterative method. The limits in :data:`DENSE_UP_TO` are
numbers of unknowns: 3000 for solutions and determinants, 2000 for singular values and eigenvalues of Hermitian
operators, 1200 for all singular vectors, least squares and eigenvalues of other operators. (Each takes a second or two
on one core.) The determinant of a larger operator is a stochastic estimate; :func:`slogdet` also returns its standard
error.

**Convergence.** If a method does not converge, it issues a ``SolverWarning``. Results with more than one field also
have a field ``converged``.
"""

from torchlops.linalg.decompositions import cond, eigh, eigvals, eigvalsh, norm, svd, svdvals
from torchlops.linalg.dense import DENSE_UP_TO
from torchlops.linalg.determinants import SignedLogDeterminant, diagonal, logdet, slogdet, trace
from torchlops.linalg.solutions import InverseOperator, LeastSquares, inv, lstsq, pinv, solve
from torchlops.optimization.spectral.results import Eigenpairs, Estimate, SingularTriplets
from torchlops.optimization.spectral.stochastic import estimate_trace

__all__ = [
    "DENSE_UP_TO",
    "Eigenpairs",
    "Estimate",
    "InverseOperator",
    "LeastSquares",
    "SignedLogDeterminant",
    "SingularTriplets",
    "cond",
    "diagonal",
    "eigh",
    "eigvals",
    "eigvalsh",
    "estimate_trace",
    "inv",
    "logdet",
    "lstsq",
    "norm",
    "pinv",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "trace",
]
