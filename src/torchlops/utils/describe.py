"""A composition of operators as a formula."""

from __future__ import annotations

import string
from typing import Any

from torchlops import linearoperator
from torchlops.extras import import_extra
from torchlops.linearoperator import LinearOperator


def describe(Op: LinearOperator) -> Any:
    """Print the composition of ``Op`` as a formula of matrix symbols, and the meaning of each symbol.

    The symbol of an operator is its ``name``. A second operator with the same name gets the next free letter. (PyLops
    chooses random letters.)

    Returns:
        The SymPy expression. SymPy is an optional dependency: ``pip install torchlops[describe]``.

    Raises:
        ImportError: If SymPy is not installed.

    Example:
        >>> import torchlops
        >>> A, B = torchlops.Flip(1, name="A"), torchlops.Flip(1)
        >>> _ = describe(A.H @ A + 2 * B)
        Adjoint(A)*A + 2*F
        where: {'A': 'Flip', 'F': 'Flip'}
    """
    names: dict[int, tuple[str, LinearOperator]] = {}
    expression = _formula(Op, names)
    print(expression)
    print("where:", {name: type(part).__name__ for name, part in names.values()})
    return expression


def _formula(part: LinearOperator, names: dict[int, tuple[str, LinearOperator]]) -> Any:
    sympy = import_extra("sympy", "describe")
    if isinstance(part, linearoperator.AdjointOperator):
        return sympy.adjoint(_formula(part.operators[0], names))
    if isinstance(part, linearoperator.TransposedOperator):
        return _formula(part.operators[0], names).T
    if isinstance(part, linearoperator.ConjugatedOperator):
        return _formula(part.operators[0], names).conjugate()
    if isinstance(part, linearoperator.ScaledOperator):
        alpha = part.alpha.item() if hasattr(part.alpha, "item") else part.alpha
        return sympy.nsimplify(alpha) * _formula(part.operators[0], names)
    if isinstance(part, linearoperator.SumOperator):
        return sympy.MatAdd(*(_formula(term, names) for term in part.operators))
    if isinstance(part, linearoperator.ProductOperator):
        return sympy.MatMul(*(_formula(factor, names) for factor in part.operators))
    if isinstance(part, linearoperator.PowerOperator):
        return _formula(part.operators[0], names) ** part.n
    if isinstance(part, linearoperator.VerticalStack):
        return sympy.BlockMatrix([[_formula(row, names)] for row in part.operators])
    if isinstance(part, linearoperator.HorizontalStack):
        return sympy.BlockMatrix([[_formula(column, names) for column in part.operators]])
    if isinstance(part, linearoperator.DiagonalStack):
        return sympy.BlockDiagMatrix(*(_formula(block, names) for block in part.operators))
    if id(part) not in names:
        names[id(part)] = (_free_name(part, {name for name, _ in names.values()}), part)
    return sympy.MatrixSymbol(names[id(part)][0], 1, 1)


def _free_name(part: LinearOperator, taken: set[str]) -> str:
    wanted = part.name or type(part).__name__[0]
    letters = (letter + suffix for suffix in ("", *string.digits) for letter in string.ascii_uppercase)
    return wanted if wanted not in taken else next(letter for letter in letters if letter not in taken)
