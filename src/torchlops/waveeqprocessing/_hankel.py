r"""The Hankel function of order zero and of the second kind, with derivatives of every order in every mode.

In torch 2.13, ``torch.special.bessel_j0`` and ``bessel_y0`` have no derivatives, which they do not say, and are wrong
by 4e-7 between 4 and 9. This is plain torch: a power series up to :math:`x = 5` and, beyond that, with :math:`\tau =
5 / x`,

.. math::

    J_0(x) - i Y_0(x) = \sqrt{\frac{2}{\pi x}} \, e^{-i (x - \pi / 4)} \, g(\tau), \qquad
    g(\tau) = \frac{1}{\sqrt\pi} \int_{-\infty}^\infty \frac{e^{-v^2} \, dv}{\sqrt{1 - i v^2 \tau / 10}},

where :math:`g` is a polynomial to rounding. (It is Laplace's integral of :math:`K_0(i x)` along the path of steepest
descent: G. N. Watson, A treatise on the theory of Bessel functions, 1944, section 7.2.) Both are right to about 3e-15.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from torchlops.arrays import complex_dtype
from torchlops.memory import in_blocks
from torchlops.torch_internals import is_plain_eager

_NEAR = 5.0


def _polynomial_of_g() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the real and imaginary parts of the coefficients of ``g`` in ``2 tau - 1``, the constant first."""
    v, weights = np.polynomial.hermite.hermgauss(64)
    s = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    g = (weights / np.sqrt(np.pi) / np.sqrt(1 - 0.05j * v**2 * (s[:, None] + 1))).sum(-1)
    parts = (np.polynomial.chebyshev.cheb2poly(np.polynomial.chebyshev.chebfit(s, f, 15)) for f in (g.real, g.imag))
    real, imaginary = (tuple(map(float, part)) for part in parts)
    return real, imaginary


def _series() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the coefficients in ``x**2 / 4`` of the series of the two functions."""
    first = [(-1) ** k / math.factorial(k) ** 2 for k in range(24)]
    harmonic = [sum(1 / n for n in range(1, k + 1)) for k in range(24)]
    return tuple(first), tuple(-a * h for a, h in zip(first, harmonic, strict=True))


_G, _SERIES = _polynomial_of_g(), _series()
_EULER = 0.5772156649015329


def hankel2_zero(x: Tensor) -> Tensor:
    """Return ``J0(x) - i Y0(x)``, the Hankel function of the second kind, for positive ``x``.

    >>> hankel2_zero(torch.tensor([1.0, 30.0], dtype=torch.float64)).numpy().round(4)
    array([ 0.7652-0.0883j, -0.0864+0.1173j])
    """
    if is_plain_eager() and x.is_cpu and not (torch.is_grad_enabled() and x.requires_grad):
        return in_blocks(x, x.shape, complex_dtype(x.dtype), (-1,), _hankel2_zero)  # which stay in the cache
    return _hankel2_zero(x)


def _hankel2_zero(x: Tensor) -> Tensor:
    is_near = x <= _NEAR
    near, far = torch.where(is_near, x, 1.0), torch.where(is_near, 2 * _NEAR, x)  # so that no derivative is infinite
    first, second = (_evaluated(coefficients, near * near / 4) for coefficients in _SERIES)
    second = (2 / math.pi) * ((torch.log(near / 2) + _EULER) * first + second)
    real, imaginary = (_evaluated(coefficients, 2 * _NEAR / far - 1) for coefficients in _G)
    size, angle = torch.sqrt(2 / (math.pi * far)), far - math.pi / 4
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    j = torch.where(is_near, first, cosine * real + sine * imaginary)
    minus_y = torch.where(is_near, -second, cosine * imaginary - sine * real)
    return torch.complex(j, minus_y)


def _evaluated(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Return the polynomial by Horner's rule."""
    value = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value
