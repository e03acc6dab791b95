# `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
BIN := .venv/bin
# Each test file runs in one of these processes: its world is started once, and waits while the other works.
WORKERS ?= 2
PYTEST := $(BIN)/pytest -q -n $(WORKERS) --dist loadfile
LOCKED_BEFORE ?= $(shell date -u -d '10 days ago' +%Y-%m-%dT00:00:00Z)

ENGINE := $(patsubst unix://%,%,$(or $(DOCKER_HOST),/var/run/docker.sock))
INSTALL := Install one: 'apt-get install docker.io' and start dockerd, or 'apt-get install bubblewrap'.

.PHONY: demo isolation test check image bench soak lock clean

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Before minutes of installing; the demo itself asks whether what is there also works.
isolation:
	@[ -S "$(ENGINE)" ] || command -v bwrap >/dev/null || { \
	  echo "Nothing here can isolate an agent: no Docker engine, no bubblewrap. $(INSTALL)" >&2; exit 1; }

# A loop at work in a world of its own; AUTO=1 answers the approval through the API that the UI uses.
demo: isolation .venv/installed
	$(BIN)/python -m demo $(if $(AUTO),--auto)

# Seconds: format, lint, types, import contracts, fast tests.
check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(PYTEST) -m "not (docker or bwrap or prefect or browser or postgres or slow)"

# Everything, against the real Prefect, sandbox and browser.
test: check
	$(PYTEST) -m "docker or bwrap or prefect or browser or postgres or slow"

# The base image of workspaces, from Debian's packages (needs root and debootstrap).
image:
	images/build.sh

# The two benchmarks, beside peers in a virtual environment of their own; half an hour.
bench: .venv/installed .looprail/bench-venv/installed
	$(BIN)/python -m benchmarks.step_overhead
	$(BIN)/python -m benchmarks.concurrency

# Chaos by chance for HOURS=1 (or as many as you say), with a report: what went wrong, and how memory grew.
HOURS ?= 1
soak: .venv/installed
	$(BIN)/python -m tests.chaos.soak --hours $(HOURS)

.looprail/bench-venv/installed: benchmarks/requirements-bench.txt
	$(PYTHON) -m venv .looprail/bench-venv
	.looprail/bench-venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Lock the whole dependency set; nothing younger than ten days.
lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --constraint known-bad.txt \
	  --exclude-newer $(LOCKED_BEFORE) --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --output-file requirements.lock

clean:
	rm -rf .venv .looprail
