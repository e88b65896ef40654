# Each target sets up all that it needs, from a bare clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Absolute: tests start processes in other folders.
CACHE := $(CURDIR)/.numba_cache
SOURCES := kernels replay tests asv_benchmarks notebooks

.PHONY: help demo test lint test-compiled test-interpreted test-boundscheck test-demo \
	test-notebooks test-model test-stress bench-quick benchmarks publish continuous compare \
	throughput views-table atari-table scaling tuning profile clean

help:  ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

demo: $(VENV)/demo.stamp  ## Watch a DQN agent solve CartPole out of shared memory
	$(BIN)/replay demo

test: lint test-compiled test-interpreted test-boundscheck  ## Run the checks and all lanes that need no PyTorch

lint: $(VENV)/test.stamp  ## Format, lint, types, import floors, docstrings
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/numpydoc lint $$(find kernels replay -name '*.py')

test-compiled: $(VENV)/test.stamp  ## Tests of the compiled kernels
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python -m pytest -q $(LANE)

# The same tests with every kernel as plain Python, which a debugger and coverage can follow. To
# follow costs more than the tests: `make test-interpreted COVER=` does without.
COVER := --cov
test-interpreted: $(VENV)/test.stamp  ## Tests of the kernels as plain Python, with coverage
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m "not compiled and not processes" $(COVER) $(LANE)

# A cache of its own: a warm one would switch the checks off. The tests that bring kernels to new
# indices: of the kernels themselves, of what is drawn and gathered, of buffers played against lists.
BOUNDS := tests/kernels tests/samplers tests/views tests/memory/test_hostile.py \
	$(addprefix tests/buffers/test_,compressed.py machine.py)
test-boundscheck: $(VENV)/test.stamp  ## Tests of kernels that check every index
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CACHE)/boundscheck $(BIN)/python -m pytest -q -m "not processes" $(LANE) \
		--ignore tests/kernels/test_faults.py $(BOUNDS)

# What needs PyTorch, Jupyter, Spin or a minute has a lane of its own.
LANE := -n auto --maxprocesses 4 \
	$(addprefix --ignore tests/,demo notebooks model stress)

test-demo: $(VENV)/demo.stamp $(VENV)/test.stamp  ## Tests of the demo, with PyTorch
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python -m pytest -q -n 2 tests/demo

test-notebooks: $(VENV)/notebooks.stamp $(VENV)/test.stamp  ## Execute the notebooks
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python -m pytest -q -n 2 tests/notebooks

test-model: $(VENV)/test.stamp  ## Check the protocol of a slot in every order of steps, with Spin
	$(BIN)/python -m pytest -q tests/model

# Longer: REPLAY_STRESS_SECONDS=3600 make test-stress
test-stress: $(VENV)/test.stamp  ## Kill writers and learners at random: a minute each of the two harshest trials
	REPLAY_STRESS_SECONDS=$${REPLAY_STRESS_SECONDS:-60} NUMBA_CACHE_DIR=$(CACHE)/compiled \
		$(BIN)/python -m pytest -q -rP -n 2 tests/stress

# Two halves at a time: what is run once is not timed. Kernels that the tests have compiled are not
# compiled again.
bench-quick: $(VENV)/bench.stamp  ## Run every benchmark once, over its smallest sizes
	printf '%s\n' '^[a-q]' '^[r-z]' | NUMBA_CACHE_DIR=$(CACHE)/compiled \
		xargs -P 2 -n 1 asv_benchmarks/quick.sh $(CURDIR)/$(BIN)/python

ASV := ../$(BIN)/python -m asv
# For these three: a regular expression of names, and ten million rows by REPLAY_BENCH_LARGE=1.
BENCH := .

benchmarks: $(VENV)/bench.stamp  ## Time the code as it lies here: BENCH=^sample
	cd asv_benchmarks && $(ASV) machine --yes > /dev/null && $(ASV) run --python=same --dry-run --bench "$(BENCH)"

# A commit that lacks what a benchmark measures fails there (2), and has its other figures.
COMMITS := HEAD^!
publish: $(VENV)/bench.stamp  ## Time commits, keep the figures, and draw all that were kept: COMMITS=main~5..main
	cd asv_benchmarks && $(ASV) machine --yes > /dev/null && \
		{ $(ASV) run --skip-existing-successful --bench "$(BENCH)" "$(COMMITS)" || [ $$? -eq 2 ]; } && \
		$(ASV) publish
	@echo "The graphs are in asv_benchmarks/.asv/html. A browser wants them from a server:"
	@echo "    cd asv_benchmarks && $(ASV) preview"

BASE := main
FACTOR := 1.25
continuous: $(VENV)/bench.stamp  ## Compare the last commit with another, in turns: BASE=main FACTOR=1.25
	cd asv_benchmarks && $(ASV) machine --yes > /dev/null && \
		$(ASV) continuous --interleave-rounds --factor $(FACTOR) --bench "$(BENCH)" $(BASE) HEAD

$(VENV)/bin/python:
	@echo "setting up $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(VENV)/%.stamp: $(VENV)/bin/python pyproject.toml
	@echo "installing what '$*' needs"
	$(PIP) --editable ".[$*]"
	@touch $@

# In an environment of its own: the others bring gigabytes, and a PyTorch of their choice. With
# ARGS="--quick", or any other of `compare.py --help`.
compare:  ## Time the buffer beside cpprb, Tianshou, Stable-Baselines3, TorchRL, Flashbax, NumPy
	$(MAKE) --no-print-directory VENV=.venv-peers .venv-peers/peers.stamp
	NUMBA_CACHE_DIR=$(CACHE)/compiled .venv-peers/bin/python asv_benchmarks/compare.py $(ARGS)

throughput: $(VENV)/bench.stamp  ## Rows a second of several processes at one buffer
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python asv_benchmarks/throughput.py

views-table: $(VENV)/bench.stamp  ## Time every view beside Transition, frame stacks beside NumPy
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python asv_benchmarks/views_table.py

atari-table: $(VENV)/bench.stamp  ## Play Atari games, and time compressed frames beside raw ones
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python asv_benchmarks/atari_table.py

profile: $(VENV)/bench.stamp  ## Where the time of a call goes, function by function, by perf
	$(BIN)/python asv_benchmarks/profiles.py

scaling: $(VENV)/bench.stamp  ## Time how all grows with rows, threads and processes, and draw it
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python asv_benchmarks/scaling.py

tuning: $(VENV)/bench.stamp  ## Time what each knob brings
	NUMBA_CACHE_DIR=$(CACHE)/compiled $(BIN)/python asv_benchmarks/tuning.py

clean:  ## Remove the virtual environment and the caches
	rm -rf $(VENV) .venv-peers $(CACHE) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -prune -exec rm -rf {} +
