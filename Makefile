# Two commands do it all on a fresh machine: `make demo` and `make test`.
#
# Every path is relative and nothing in .venv/bin but python is called: make splits
# targets at blanks, and a console script's first line cannot hold a path with one, so
# this is what lets the folder have a space in its name.

PYTHON ?= python3
RUN := .venv/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DIGITS := docs/examples/digits.py --work-dir work_dirs/digits

.DEFAULT_GOAL := help
.PHONY: help demo test oracle lint types docs coverage bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

demo: .venv/.demo  ## Set up .venv, train on scikit-learn's digits, test, write a report
	$(RUN) -m engine train $(DIGITS)
	$(RUN) -m engine test $(DIGITS)
	$(RUN) -m engine report work_dirs/digits

test: lint types  ## Set up .venv, run every check: lint, types, tests, doctests
	$(RUN) -m pytest -n auto
	$(RUN) -m pytest -q --doctest-modules engine

oracle: .venv/.oracle  ## Compare with MMEngine 0.10.7, as a black box, on random cases
	$(RUN) tests/oracle/schedules_against_mmengine.py --cases 900
	$(RUN) tests/oracle/param_groups_against_mmengine.py --cases 300
	$(RUN) tests/oracle/checkpoints_against_mmengine.py
	$(RUN) tests/oracle/initializers_against_mmengine.py --cases 300
	$(RUN) tests/oracle/runs_against_mmengine.py --cases 60
	$(RUN) tests/oracle/dist_against_mmengine.py
	$(RUN) tests/oracle/early_stopping_against_mmengine.py --cases 5000
	$(RUN) tests/oracle/log_lines_against_mmengine.py --cases 1000

lint: .venv/.dev  ## Ruff's rules and format, spelling
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m codespell_lib

types: .venv/.dev  ## mypy --strict on engine and tests
	$(RUN) -m mypy

docs: .venv/.dev  ## Run the examples in the docstrings
	$(RUN) -m pytest -q --doctest-modules engine

coverage: .venv/.dev  ## Run the tests and show what no test reaches
	$(RUN) -m pytest -n auto --cov --cov-report=term-missing

bench: .venv/.dev  ## Run each benchmark of benchmarks/
	@set -e; for script in benchmarks/bench_*.py; do \
	    echo "$(RUN) $$script"; $(RUN) "$$script"; \
	done

clean:  ## Remove .venv and what the tools left; runs in work_dirs/ stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf .coverage .coverage.* htmlcov build dist ignite_runner.egg-info
	find . -name __pycache__ -type d -not -path './work_dirs/*' -prune -exec rm -rf {} +

# A stamp stands for an installed set of extras and is renewed when what is asked for
# changes. Each set only adds to .venv, so the two commands do not undo one another.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "constraints.txt needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: setup.cfg constraints.txt | .venv/.made
	$(PIP) --editable '.[demo]'
	@touch $@

.venv/.dev: setup.cfg constraints.txt | .venv/.made
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/.oracle: setup.cfg constraints.txt | .venv/.made
	$(PIP) --editable '.[oracle]'
	@touch $@
