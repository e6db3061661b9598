#!/usr/bin/env bash
# The embedded model from nothing: synthetic voices -> clips -> training -> figures on held-out voices.
# Writes OUT (default data/tiny/model); OUT=clsp/assets/tiny replaces the default model. Every seed
# in SEEDS is trained, JOBS at once; the dev voices choose. A run that was cut off goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-data/tiny} OUT=${OUT:-data/tiny/model} SEEDS=${SEEDS:-1 2} JOBS=${JOBS:-$(nproc)} CLIPS=${CLIPS:-9600}
export OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore

.venv/bin/python -m clsp.training.synthesise --out "$DATA" --clips "$CLIPS" --jobs "$(nproc)"
# shellcheck disable=SC2086
.venv/bin/python -m clsp.training.train --data "$DATA" --out "$OUT" --seeds $SEEDS --jobs "$JOBS"
for measure in "zero-shot --preset tiny-heldout" "retrieval --preset tiny-heldout" wording; do
  # shellcheck disable=SC2086
  .venv/bin/clsp evaluate $measure --model "$OUT"
done
