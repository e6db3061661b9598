#!/usr/bin/env bash
# Builds .venv from requirements.lock (every hash checked) and installs this checkout into it.
set -euo pipefail
cd "$(dirname "$0")/.."
UV_VERSION=0.13.9   # the version the lock was compiled with

if command -v uv >/dev/null 2>&1; then
  uv=uv
  [ -x .venv/bin/python ] || uv venv --quiet --no-python-downloads --python '>=3.11' .venv
else
  # A bare machine: pip brings uv, inside .venv so that nothing outside the checkout changes.
  [ -x .venv/bin/python ] || python3 -m venv .venv
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  uv=.venv/bin/uv
fi
"$uv" pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
# Where Python may not keep what it compiles, every process would compile torch and the rest anew: 8 s
# for each worker. Elsewhere it keeps them by itself. A few packages hold templates that are no Python.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
  .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
fi
