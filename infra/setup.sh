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
