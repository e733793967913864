r"""Linear algebra of operators, with the names and the habits of ``torch.linalg``.

All functions give tensors, which carry derivatives in every mode and to any order, in the data and in the tensors of
the operator; under ``torch.vmap`` over the latter they are right, sample by sample where they iterate. A batch of
operators is an operator under ``torch.vmap``; a batch of data has leading axes.

**Dense or iterative.** Where the matrix of an operator is small, it is formed, and the result is exact. Beyond, methods
that need products only take over: ``method="dense"`` and ``method="iterative"`` choose, and so does naming an option of
the iteration. The limits are in :data:`DENSE_UP_TO`, as numbers of unknowns: 3000 for solutions and determinants, 2000
for singular values and the eigenvalues of Hermitian operators, 1200 for all singular vectors, least squares and the
eigenvalues of other operators. (Each takes a second or two on one core.) The determinant of a larger operator is a
stochastic estimate: :func:`slogdet` gives its standard error.

**Convergence.** What did not converge says so by a ``SolverWarning``, and in ``converged`` of a result that has more
than one field.
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
