# make demo    learn real digits, draw the gradient graph, write the plots
# make test    the whole test suite
# make quick   the tests that take no seconds each
# make fresh   the property tests on new random examples (make fresh SEED=1 repeats a run)
# make deep    the whole suite on very many random examples
# make lint    style and types
# make ci      what must hold before a change lands: lint, test, fresh, and quick on every Python here
# All make their own virtual environment in .venv first; they need only Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TEST := $(BIN)/python -m pytest -n auto
SEED ?= $(shell date +%s)

.PHONY: demo test quick fresh deep lint ci clean

demo: $(VENV)/demo
	$(BIN)/python demos/learn_digits.py

test: $(VENV)/ready
	$(TEST) $(ARGS)

quick: $(VENV)/ready
	$(TEST) -m 'not slow' $(ARGS)

fresh: $(VENV)/ready
	$(TEST) -q -m hypothesis --hypothesis-profile=fresh --hypothesis-seed=$(SEED) $(ARGS)

deep: $(VENV)/ready
	$(TEST) --hypothesis-profile=deep $(ARGS)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ci:
	bash .ci/run

$(VENV)/python: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $(VENV)/python

$(VENV)/demo: $(VENV)/python
	@echo "Installing NumPy, Graphviz's package and matplotlib into $(VENV) (once) ..."
	$(BIN)/python -m pip install --quiet --editable '.[viz,plot,progress,testing]'
	touch $(VENV)/demo

$(VENV)/ready: $(VENV)/python
	@echo "Installing what the tests need into $(VENV) (once, some minutes on a slow line) ..."
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]' $(NUMPY)
	touch $(VENV)/ready

clean:
	rm -rf .venv out dist .hypothesis .mypy_cache .ruff_cache
