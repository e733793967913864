"""Our operators against PyLops's and against plain torch: the same work on the same data in one process.

``python -m benchmarks`` (or ``make bench``) writes ``RESULTS.md`` and the summary in the README.
"""
