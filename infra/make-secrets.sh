#!/usr/bin/env bash
# Random secrets for the compose file, once: infra/secrets/*.env, readable by you alone. What is there
# already is kept. Kubernetes takes the same files: see runbook.md, "Secrets".
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

write() { # FILE LINE...
  [ -e "secrets/$1" ] && return
  printf '%s\n' "${@:2}" > "secrets/$1"
  echo "made infra/secrets/$1"
}

password=$(random)
write postgres.env "POSTGRES_PASSWORD=$password"
# Whatever the password is, the server is told the one that Postgres has.
write prefect-server.env \
  "PREFECT_SERVER_DATABASE_PASSWORD=$(sed -n 's/^POSTGRES_PASSWORD=//p' secrets/postgres.env)" \
  "PREFECT_SERVER_API_AUTH_STRING=clsp:$(random)"
write prefect.env \
  "PREFECT_API_AUTH_STRING=$(sed -n 's/^PREFECT_SERVER_API_AUTH_STRING=//p' secrets/prefect-server.env)"
write store.env "AWS_ACCESS_KEY_ID=$(random)" "AWS_SECRET_ACCESS_KEY=$(random)"
write ray.env "RAY_AUTH_TOKEN=$(random)"
