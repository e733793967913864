"""Benchmark of our operators against PyLops's and against plain torch: the same work on the same data in one process.

``python -m benchmarks`` (or ``make bench``) measures and writes ``results.json``, and from it ``RESULTS.md`` and the
summary and plot of the README. ``python -m benchmarks --report`` writes these again without measuring.
"""
