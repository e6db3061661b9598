# setup: the environment.  demo: the main job on the sample archive.  test, check: what CI runs.  bench: ratios.  torture: what breaks.
.PHONY: setup demo test check bench torture lock train-tiny
PY := .venv/bin/python

setup: .venv/.ready

# Quick when nothing changed: the stamp is newer than the lock and the project file.
.venv/.ready: requirements.lock pyproject.toml infra/setup.sh
	@bash infra/setup.sh
	@touch $@

demo: setup
	@bash infra/demo.sh

test: setup
	@$(PY) -m pytest -q -n 2 --dist loadfile

check: setup
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: setup
	@$(PY) -m tests.benchmarks

# Kills, floods and damages, with counts: up to 20 minutes.
torture: setup
	@$(PY) -m tests.faults

# The embedded model from nothing (needs the speech engines that its card names): its card says how long.
train-tiny: setup
	@bash infra/train-tiny.sh

# One lock for every platform and Python >= 3.11; hashes only, no registry address.
lock:
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-header \
	  --all-extras pyproject.toml -o requirements.lock
