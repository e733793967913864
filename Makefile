# `make demo` and `make test` set up a virtual environment each needs, on a machine with Python and make.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

PYTEST = $(RUN) -m pytest -n 2 --dist worksteal

.PHONY: demo test test-slow test-newest test-all test-operator peers pylops-suite pyproximal-suite \
	pylops-gallery lint types package check-tag bench docs examples clean

demo: $(VENV)/.demo
	$(VENV)/bin/torchlops demo

# The fast gate, at most five minutes on two cores: every promise at least once for every operator.
test: lint types $(VENV)/.test
	$(PYTEST) -m "not slow"

# What the fast gate leaves out.
test-slow: $(VENV)/.test
	$(PYTEST) -m slow

# The fast gate with the newest versions that are supported, in an environment of its own; `make test` has the lowest torch.
test-newest: VENV = .venv-newest
test-newest:
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade --editable ".[test]"
	$(PYTEST) -m "not slow"

test-all: lint types $(VENV)/.test
	$(PYTEST)
	$(MAKE) peers

# Every promise on the cases of one operator: make test-operator NAME=FirstDerivative
test-operator: $(VENV)/.test
	$(PYTEST) tests/every_operator --operator $(NAME)

# The tests of PyLops and of PyProximal, and the gallery of PyLops, on torchlops. Each keeps its numbers for the page
# docs/coming_from_pylops.md.
peers: pylops-suite pyproximal-suite pylops-gallery

pylops-suite: $(VENV)/.test
	$(RUN) -m tests.peers.suite pylops --record

pyproximal-suite: $(VENV)/.test
	$(RUN) -m tests.peers.suite pyproximal --record

pylops-gallery: $(VENV)/.test
	$(RUN) -m tests.peers.gallery

lint: $(VENV)/.test
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

types: $(VENV)/.test
	$(RUN) -m mypy

# Build the distributions into dist, check them, and try the wheel where only what it requires is installed.
package: $(VENV)/.test
	$(RUN) -m tests.package.clean

# That a tag names the version that would be published: make check-tag TAG=v0.1.0
check-tag:
	grep -qxF '__version__ = version = "$(TAG:v%=%)"' src/torchlops/version.py

bench: $(VENV)/.test
	$(RUN) -m benchmarks

docs: $(VENV)/.test
	$(RUN) -m tests.every_operator.tables
	$(RUN) -m tests.peers.page

examples: $(VENV)/.test
	for script in examples/plot_*.py; do echo $$script; $(RUN) $$script || exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python requirements/demo.txt pyproject.toml
	$(RUN) -m pip install --quiet --requirement requirements/demo.txt
	$(RUN) -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.test: $(VENV)/.demo requirements/test.txt
	$(RUN) -m pip install --quiet --requirement requirements/test.txt
	touch $@

clean:
	rm -rf $(VENV) demo-output dist build src/*.egg-info
