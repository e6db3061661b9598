#!/usr/bin/env bash
# One command from nothing: secrets, images, Prefect, Ray and a store; an archive in the store; tags; SQL.
#   bash infra/compose-demo.sh            leaves it running: Prefect at 127.0.0.1:4200, Ray at :8265
#   bash infra/compose-demo.sh --down     stops it and removes its volumes, the demo's lake with them
# Needs Docker with the compose plugin (2.24 or later). Prefect's page asks for secrets/prefect.env.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" = --down ]; then
  docker compose --profile tools down --volumes
  exit
fi
bash make-secrets.sh
docker compose up --build --detach --wait
docker compose run --rm fill-store
docker compose run --rm clsp tag s3://archive --executor ray --chunk-files 8
docker compose run --rm clsp sql \
  "SELECT uri, gender, gender_p, gender_margin, pitch, recording_quality AS quality FROM speech ORDER BY uri"
docker compose run --rm clsp sql "SELECT uri, error_kind, error_message FROM failures ORDER BY uri"
# From now on every night, by the worker.
docker compose run --rm clsp deploy --source s3://archive --cron "0 2 * * *" \
  --set tag_archive.executor=ray --set tag_archive.ray_address=ray://ray-head:10001
