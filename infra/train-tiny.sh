#!/usr/bin/env bash
# The embedded model from nothing: synthetic voices -> clips -> training -> figures on held-out voices.
# Writes OUT (default data/tiny/model); OUT=clsp/assets/tiny replaces the default model. One model is
# trained with the first of SEEDS, by PROCESSES that share its batches (two, however many cores: they
# are part of the recipe). It is tuned as a whole with each seed, JOBS at once, and the dev voices
# choose among these, their mean and the model as it was. For each of ROUNDS (none) it goes on with
# clips that were synthesised anew. A run that was cut off goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-data/tiny} OUT=${OUT:-data/tiny/model} SEEDS=${SEEDS:-1 2} JOBS=${JOBS:-$(nproc)}
PROCESSES=${PROCESSES:-2} CLIPS=${CLIPS:-38400} ROUNDS=${ROUNDS:-}
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
$PY -m clsp.training.train --data "$DATA" --out "$DATA/first" --seeds "${SEEDS%% *}" \
  --processes "$PROCESSES"
stage "all of it together"
model=$DATA/polished
polish --start "$DATA/first" --data "$DATA" --out "$model"
for round in $ROUNDS; do
  stage "round $round"
  synthesise --out "$DATA-$round" --seed "$round"
  polish --start "$model" --data "$DATA-$round" --out "$DATA-$round/polished"
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
