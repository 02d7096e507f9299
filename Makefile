# make demo   learn real digits, draw the gradient graph, write the plots
# make test   the whole test suite
# Both make their own virtual environment in .venv first; they need only Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test deep lint clean

demo: .venv/demo
	$(BIN)/python demos/learn_digits.py

test: .venv/ready
	$(BIN)/python -m pytest -n auto

deep: .venv/ready
	$(BIN)/python -m pytest -n auto --hypothesis-profile=deep

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/python: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	touch .venv/python

.venv/demo: .venv/python
	@echo "Installing NumPy, Graphviz's package and matplotlib into .venv (once) ..."
	$(BIN)/python -m pip install --quiet --editable '.[viz,plot,progress,testing]'
	touch .venv/demo

.venv/ready: .venv/python
	@echo "Installing what the tests need into .venv (once, some minutes on a slow line) ..."
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	touch .venv/ready

clean:
	rm -rf .venv out dist .hypothesis .mypy_cache .ruff_cache
