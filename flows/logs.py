"""Log lines of our own, for people or for a log store: one JSON object to a line, with the run and
the chunk it is about, and without secrets.

Python's logging, on standard error. Other libraries' loggers are left as they are. Knows nothing of
what is logged.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pipelines.redaction import redacted

OURS = ("clsp", "pipelines", "flows")
BY_LOGGING = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"}


class LogFormat(StrEnum):
    text = "text"
    json = "json"


class LogLevel(StrEnum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class Lines(logging.StreamHandler[Any]):
    """To standard error, whatever that is by then."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, run_id and chunk_id (null where there is none), then whatever
    else the record has: files, tagged, failed, audio_s, seconds ..."""

    def format(self, record: logging.LogRecord) -> str:
        more = {
            name: value
            for name, value in vars(record).items()
            if name not in BY_LOGGING and not name.startswith("_")  # Ray's own
        }
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "run_id": more.pop("run_id", None),
            "chunk_id": more.pop("chunk_id", None),
            **more,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(_without_secrets(line), ensure_ascii=False)


def _without_secrets(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, dict):
        return {str(key): _without_secrets(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(each) for each in value]
    return value if isinstance(value, int | float | None) else redacted(str(value))


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def set_up(format_: LogFormat | None, level: LogLevel | None) -> None:
    """Neither: as Python has it, warnings as bare sentences. Else lines of this format (text) from
    this level on (info)."""
    if format_ is None and level is None:
        return
    handler = Lines()
    handler.setFormatter(JsonFormatter() if format_ == LogFormat.json else TextFormatter())
    for name in OURS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False  # Prefect shows what comes to the root logger as well
        logger.setLevel((level or LogLevel.info).upper())
