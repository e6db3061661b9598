"""Prefect's environment, set before Prefect is first imported: it reads it then; and what Prefect
logs of our errors.

Values already set win. Import this module before `prefect`, everywhere.
"""

import logging
import os

from clsp.errors import ClspError

DEFAULTS = {
    # A flow without a server starts one of its own, which takes 15-20 s on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}

for name, value in DEFAULTS.items():
    os.environ.setdefault(name, value)


def _without_traceback(record: logging.LogRecord) -> bool:
    """An error of ours says what was received, expected, and what to do; of others, all is told."""
    if record.exc_info and isinstance(record.exc_info[1], ClspError):
        record.exc_info = None
    return True


for name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(name).addFilter(_without_traceback)
