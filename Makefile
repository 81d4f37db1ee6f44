PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help dev build test check-all bench guard lint format docs sanitize clean

help:
	@echo "dev        virtual environment in $(VENV), editable, with everything to test"
	@echo "build      compile the extensions again"
	@echo "test       the whole suite"
	@echo "check-all  what takes longer: more seeds, a build without OpenMP, sanitizers"
	@echo "bench      every benchmark, and the table of ratios"
	@echo "guard      fail if a kernel has become slow beside NumPy"
	@echo "lint       ruff, cython-lint, codespell"
	@echo "format     ruff format"
	@echo "docs       the documentation site, in docs/_build/html"
	@echo "sanitize   the suite under the address and undefined-behaviour sanitizers"
	@echo "clean      remove what was built"

dev:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -e ".[test]" ruff cython-lint codespell

build:
	$(BIN)/pip install --no-deps -e .

test:
	$(BIN)/pytest

check-all: test
	for seed in 1 2 3; do FASTSOFTMAX_TEST_SEED=$$seed $(BIN)/pytest -q tests || exit 1; done
	FASTSOFTMAX_OPENMP=0 $(MAKE) other OTHER=build/serial
	$(MAKE) sanitize

# A second environment, built with other settings, and the tests of the kernels in it.
other:
	$(PYTHON) -m venv $(OTHER)
	$(OTHER)/bin/pip install --quiet ".[test]"
	$(OTHER)/bin/pytest -q tests --ignore=tests/cli --ignore=tests/estimators --ignore=tests/plots --ignore=tests/test_examples.py

bench:
	$(BIN)/python bench/table.py

guard:
	$(BIN)/python bench/guard.py

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint src_ext
	$(BIN)/codespell fastsoftmax src_ext tests bench docs examples *.md

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[docs]"
	$(BIN)/sphinx-build -W --keep-going docs docs/_build/html

sanitize:
	$(PYTHON) -m venv build/sanitize
	FASTSOFTMAX_SANITIZE=1 build/sanitize/bin/pip install --quiet ".[test]"
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	build/sanitize/bin/pytest -q tests/test_accuracy.py tests/test_special_values.py tests/test_layouts.py \
	-k "cython and not long_rows" -p no:cacheprovider

clean:
	rm -rf build dist docs/_build docs/auto_examples docs/generated *.egg-info fastsoftmax/_ext/*.so .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
