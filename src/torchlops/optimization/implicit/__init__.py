"""Derivatives of solutions by implicit differentiation, exact in every mode and of any order."""
