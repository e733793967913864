"""Eigenvalues, singular values, norms, traces and log-determinants of operators, without their matrices."""
