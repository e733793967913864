"""Our operators against PyLops's and against plain torch: the same work on the same data in one process.

``python -m benchmarks`` (or ``make bench``) measures and writes ``results.json``, and from it ``RESULTS.md`` and the
README's summary and picture. ``python -m benchmarks --report`` writes these again without measuring.
"""
