#!/usr/bin/env bash
# The embedded model from nothing: synthetic voices -> clips -> training -> figures on held-out voices.
# Writes OUT (default data/tiny/model); OUT=clsp/assets/tiny replaces the default model. Every seed
# in SEEDS is trained, JOBS at once; the dev voices choose. Then it goes on, once for each of ROUNDS,
# with clips that were synthesised anew. A run that was cut off goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-data/tiny} OUT=${OUT:-data/tiny/model} SEEDS=${SEEDS:-1 2} JOBS=${JOBS:-$(nproc)}
CLIPS=${CLIPS:-9600} ROUNDS=${ROUNDS:-2 3 4 5} ROUND_CLIPS=${ROUND_CLIPS:-14400}
export OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=ignore
synthesise() { .venv/bin/python -m clsp.training.synthesise --jobs "$(nproc)" "$@"; }

# shellcheck disable=SC2086
{
  synthesise --out "$DATA" --clips "$CLIPS"
  model=$DATA/first
  .venv/bin/python -m clsp.training.train --data "$DATA" --out "$model" --seeds $SEEDS --jobs "$JOBS"
  for round in $ROUNDS; do
    synthesise --out "$DATA-$round" --clips "$ROUND_CLIPS" --seed "$round"
    .venv/bin/python -m clsp.training.polish --start "$model" --data "$DATA-$round" \
      --out "$DATA-$round/model" --seeds $SEEDS --jobs "$JOBS"
    model=$DATA-$round/model
  done
  mkdir -p "$OUT"
  cp "$model"/{config.json,model.safetensors,tokenizer.json,tokenizer_config.json,training.json} "$OUT"
  for measure in "zero-shot --preset tiny-heldout" "retrieval --preset tiny-heldout" wording; do
    .venv/bin/clsp evaluate $measure --model "$OUT"
  done
}
