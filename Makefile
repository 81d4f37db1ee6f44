PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help dev build test hunt fuzz soak check-all serial uncompiled bench guard lint format docs sanitize clean

help:
	@echo "dev        virtual environment in $(VENV), editable, with everything to test"
	@echo "build      compile the extensions again"
	@echo "test       the whole suite"
	@echo "hunt       a hunt with a fresh seed for errors beyond the documented bounds: SECONDS_EACH=60 for each back end"
	@echo "check-all  what takes longer: more seeds, hunt, fuzz, soak, a build without OpenMP, sanitizers"
	@echo "soak       ten minutes of mixed calls from eight threads, with forks"
	@echo "fuzz       8000 damaged model files, attributes, options and arguments; SEED=n for others"
	@echo "bench      every benchmark, and the table of ratios"
	@echo "serial     the suite over a build without OpenMP"
	@echo "uncompiled the suite over an installation of Python alone"
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

SECONDS_EACH ?= 60

hunt:
	$(BIN)/python tests/hunt.py --seconds $(SECONDS_EACH)

check-all: test hunt
	for seed in 1 2 3; do FASTSOFTMAX_TEST_SEED=$$seed $(BIN)/pytest -q tests || exit 1; done
	for seed in 1 2 3; do $(MAKE) fuzz SEED=$$seed || exit 1; done
	$(MAKE) soak
	$(MAKE) serial
	$(MAKE) uncompiled
	$(MAKE) sanitize

soak:
	$(BIN)/python -W ignore tests/soak.py --seconds 600

SEED ?= 0

fuzz:
	$(BIN)/python tests/fuzz.py --count 8000 --seed $(SEED)

# Environments of their own under build/, each with another build of the package installed. Tests run in the folder
# of the environment: in this one the source tree would hide the package from the processes that tests start. Numba's
# machine code is the same in all of them.
KERNEL_TESTS = ../../tests --ignore=../../tests/cli --ignore=../../tests/plots --ignore=../../tests/test_examples.py \
	--ignore=../../tests/test_documents.py -c ../../pyproject.toml --rootdir=../.. -p no:cacheprovider -q --ignore=../../tests/test_numba.py

serial:
	$(PYTHON) -m venv build/serial
	FASTSOFTMAX_OPENMP=0 build/serial/bin/pip install --quiet ".[test]"
	cd build/serial && bin/pytest $(KERNEL_TESTS) -k "not numba"

# NumPy and Numba compute; tests of compiled modules skip by name.
uncompiled:
	$(PYTHON) -m venv build/uncompiled
	FASTSOFTMAX_COMPILED=0 build/uncompiled/bin/pip install --quiet ".[test]"
	cd build/uncompiled && FASTSOFTMAX_BACKEND=numpy bin/pytest $(KERNEL_TESTS)

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

# An error stops the process: pytest would swallow a message. Leaks are not looked for: the interpreter's own would
# hide them. Left out: a count of bytes that NumPy exceeds here, as it does not reuse temporary arrays under a sanitizer.
SANITIZERS = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

sanitize:
	$(PYTHON) -m venv build/sanitize
	FASTSOFTMAX_SANITIZE=1 build/sanitize/bin/pip install --quiet ".[test]"
	cd build/sanitize && $(SANITIZERS) bin/pytest $(KERNEL_TESTS) -k "not numba and not as_a_whole"

clean:
	rm -rf build dist docs/_build docs/auto_examples docs/generated *.egg-info fastsoftmax/_ext/*.so .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
