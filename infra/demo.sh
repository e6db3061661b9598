#!/usr/bin/env bash
# The main job on the sample archive: the Prefect flow on a local Ray, then what it is for.
# Nothing outside a temporary folder is touched; no network, no server, no apt package.
set -euo pipefail
cd "$(dirname "$0")/.."
lake=$(mktemp -d)/lake
trap 'rm -rf "$(dirname "$lake")"' EXIT
export HF_HUB_OFFLINE=1 PREFECT_HOME="$(dirname "$lake")/prefect"
archive=tests/data/sample-archive

run() {
  printf '\n\033[1m$ clsp'
  for word in "$@"; do
    case $word in *[[:space:]]*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  printf '\033[0m\n'
  .venv/bin/clsp "$@"
}

run tag "$archive" --lake "$lake" --executor ray --flow --chunk-files 8
run sql --lake "$lake" \
  "SELECT uri, gender, gender_p, gender_margin, pitch, volume, whisper, recording_quality AS quality
   FROM speech ORDER BY uri"
run search --lake "$lake" -k 3 "a woman whispering"
run sql --lake "$lake" "SELECT uri, error_kind, error_message FROM failures ORDER BY uri"
run tag "$archive" --lake "$lake"
