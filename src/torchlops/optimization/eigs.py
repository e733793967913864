"""Eigenvalues, singular values, the norm and the log-determinant of an operator, without its matrix.

They are differentiable in the tensors of the operator, in every mode and to any order, by what perturbation theory says
of them, and not through the iterations; see ``spectral/derivatives.py``. For functions in the manner of
``torch.linalg``, which take the matrix where that is small, see :mod:`torchlops.linalg`.

Random numbers come from the ``generator`` that is given, or from one of a fixed seed, never from the global one.
"""

from torchlops.optimization.spectral.golub_kahan import golub_kahan, operator_norm
from torchlops.optimization.spectral.lanczos import lanczos, largest_eigenvalue
from torchlops.optimization.spectral.lobpcg import lobpcg
from torchlops.optimization.spectral.randomized import power_iteration, randomized_svd
from torchlops.optimization.spectral.stochastic import logdet

__all__ = [
    "golub_kahan",
    "lanczos",
    "largest_eigenvalue",
    "lobpcg",
    "logdet",
    "operator_norm",
    "power_iteration",
    "randomized_svd",
]
