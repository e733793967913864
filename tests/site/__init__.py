"""Tests of the documentation as a browser shows it: ``make docs-test``."""
