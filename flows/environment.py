"""Prefect's environment, set before Prefect is first imported: it reads it then.

Values already set win. Import this module before `prefect`, everywhere.
"""

import os

DEFAULTS = {
    # A flow without a server starts one of its own, which takes 15-20 s on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}

for name, value in DEFAULTS.items():
    os.environ.setdefault(name, value)
