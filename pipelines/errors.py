"""The exception tree of the pipeline floor. Knows no library: any floor's code may catch these.

    ClspError                          (clsp/errors.py)
    ├── TerminalError                  doing it again cannot help
    │   ├── RecordingError             one recording cannot be used; `.kind` says why
    │   ├── ArchiveNotFound            there is nothing at the source
    │   ├── ArchiveForbidden           the store refuses, or there are no credentials for it
    │   ├── SettingsError              an option has a value that means nothing
    │   ├── TaxonomyError              the attributes, labels or prompts contradict themselves
    │   ├── WorkerNotStarted           workers cannot load what they need, or find no place
    │   ├── QueryError                 the SQL cannot be run, or asks for what is not there
    │   └── LakeError                  the tables are not as they must be
    └── TransientError                 the same call may go through later
        ├── ArchiveUnreachable         the store did not answer, or broke off
        ├── LakeBusy                   another process keeps committing to the lake
        ├── ClusterUnreachable         no Ray cluster answers at the address
        ├── WorkerLost                 a worker process died with work in its hands
        ├── NoMemory                   a GPU has no memory for a clip alone
        └── Stopped                    the run was asked to stop: SIGTERM

Each of ours is a `PipelineError` too. A message says what was received, what was expected, and
what to do next.
"""

from __future__ import annotations

from enum import StrEnum

from clsp.errors import ClspError, TerminalError, TransientError


class PipelineError(ClspError):
    """Root of what this floor raises: the second base of every class below."""


class FailureKind(StrEnum):
    """Why a recording has no rows, or (truncated) not all: `error_kind` in the tables."""

    UNREADABLE = "unreadable"  # missing, forbidden, damaged, or holding NaN
    UNSUPPORTED = "unsupported"  # not audio, no audio in it, or a codec that no decoder here knows
    TRUNCATED = "truncated"  # decoding broke off, or the file ends before its header says
    #                          (tagged as far as it goes, where that is enough to judge)
    EMPTY = "empty"  # zero bytes, or no sample in it
    TOO_SHORT = "too_short"  # less than the model can judge
    SILENT = "silent"  # nothing to hear: no peak over -80 dBFS
    NO_SPEECH = "no_speech"  # nobody speaks in it, where only speech is cut out: `--segments vad`
    TOO_LONG = "too_long"  # more than fits one segment, or than the limits of one file allow
    TIMEOUT = "timeout"  # took longer to decode than a recording may
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_LOST = "worker_lost"  # kills the process that reads it, alone and again
    UNREACHABLE = "unreachable"  # its store did not answer, nor when asked again; or it changed
    #                              while it was read
    INTERNAL = "internal"  # a fault of ours: please report it


# Tried again by the next run, though nothing changed: always, or until a file has cost so many.
TRANSIENT = (FailureKind.UNREACHABLE,)
COSTLY = (FailureKind.WORKER_LOST, FailureKind.OUT_OF_MEMORY)
COSTLY_ATTEMPTS = 3
# What the same bytes may be spared another time: `clsp retry`, where no kind is named. The others
# say something of the content, which is what it is.
CURABLE = (
    *TRANSIENT,
    *COSTLY,
    FailureKind.UNREADABLE,
    FailureKind.TIMEOUT,
    FailureKind.INTERNAL,
)


class RecordingError(PipelineError, TerminalError):
    """One recording cannot be used. Costs one failure row, never a run.

    `kind` is a `FailureKind` (or its value), `message` the sentence for the person who looks.
    """

    def __init__(self, kind: FailureKind | str, message: str) -> None:
        # Both go to Exception: what unpickles an error on its way back from a worker needs them.
        super().__init__(FailureKind(kind), message)
        self.kind = FailureKind(kind)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ArchiveNotFound(PipelineError, TerminalError):
    """There is no file and no folder at the source."""


class ArchiveForbidden(PipelineError, TerminalError):
    """The store refuses these credentials, or there are none."""


class SettingsError(PipelineError, TerminalError, ValueError):
    """An option has a value that means nothing; the message lists what is valid."""


class TaxonomyError(PipelineError, TerminalError):
    """The attributes, labels, prompts or styles are incomplete or contradict each other."""


class QueryError(PipelineError, TerminalError):
    """The SQL cannot be run, or names a table, column or version that is not there."""


class LakeError(PipelineError, TerminalError):
    """The tables are missing, or are not as this version of the code left them."""


class ArchiveUnreachable(PipelineError, TransientError):
    """The store of a remote archive did not answer, or broke off."""


class LakeBusy(PipelineError, TransientError):
    """Another process held the lake's lock for longer than a commit should take."""


class WorkerNotStarted(PipelineError, TerminalError):
    """A worker cannot start: the model's files or the code are not where it was put, no node has a
    place for it, or the cluster refuses us."""


class ClusterUnreachable(PipelineError, TransientError):
    """No Ray cluster answers at the address."""


class WorkerLost(PipelineError, TransientError):
    """A worker process died with work in its hands: run the work again, then in halves."""


class NoMemory(PipelineError, TransientError):
    """A GPU has no memory for a clip alone, or another process has taken it."""


class Stopped(PipelineError, TransientError):
    """The run was asked to stop, by SIGTERM: what it committed stays; the next goes on there."""
