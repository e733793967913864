"""Matrix-free eigenvalues, singular values, norms, traces and log-determinants of operators."""
