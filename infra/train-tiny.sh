#!/usr/bin/env bash
# The embedded model from nothing: synthetic voices -> clips -> training -> figures on held-out voices.
# Writes OUT (default data/tiny/model); OUT=clsp/assets/tiny replaces the default model. Every seed
# in SEEDS is trained, JOBS at once; the dev voices choose. For each of ROUNDS clips are synthesised
# anew, and the best is tuned as a whole on all there are by then, again with each seed; the dev
# voices choose again. A run that was cut off goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-data/tiny} OUT=${OUT:-data/tiny/model} SEEDS=${SEEDS:-1 2} JOBS=${JOBS:-$(nproc)}
CLIPS=${CLIPS:-9600} ROUNDS=${ROUNDS:-2}
export OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
# Large tensors that come and go stay the process's own: a step takes 7 % less.
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592
PY=.venv/bin/python

stage() { echo "== $1, after $((SECONDS / 60)) min"; }
synthesise() { $PY -m clsp.training.synthesise --jobs "$(nproc)" --clips "$CLIPS" "$@"; }
# shellcheck disable=SC2086
polish() { $PY -m clsp.training.polish --seeds $SEEDS --jobs "$JOBS" "$@"; }

stage "clips"
synthesise --out "$DATA"
stage "phases 1 to 3"
# shellcheck disable=SC2086
$PY -m clsp.training.train --data "$DATA" --out "$DATA/first" --seeds $SEEDS --jobs "$JOBS"
model=$DATA/first sets=("$DATA")
for round in $ROUNDS; do
  stage "round $round"
  synthesise --out "$DATA-$round" --seed "$round"
  sets+=("$DATA-$round")
  polish --start "$model" --data "${sets[@]}" --out "$DATA-$round/polished"
  model=$DATA-$round/polished
done
mkdir -p "$OUT"
cp "$model"/{config.json,model.safetensors,tokenizer.json,tokenizer_config.json,training.json} "$OUT"
stage "figures"
for measure in "zero-shot --preset tiny-heldout" "retrieval --preset tiny-heldout" wording; do
  # shellcheck disable=SC2086
  .venv/bin/clsp evaluate $measure --model "$OUT"
done
stage "done"
