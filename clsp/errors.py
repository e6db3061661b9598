"""The exception tree of the model floor, and the root of the whole project's tree.

    ClspError
    ├── TerminalError            doing it again cannot help
    │   ├── ModelNotFound        no such model, or its files are not here
    │   ├── CheckpointMismatch   the files are not what the architecture or the pinned hash expects
    │   ├── InputError           what the caller passed cannot be used
    │   ├── TrainingCollapsed    all embeddings became alike, or the loss no number
    │   └── ...                  (more in pipelines/errors.py)
    └── TransientError           the same call may go through later

A message says what was received, what was expected, and what to do next.
"""


class ClspError(Exception):
    """Root of every error this project raises on purpose."""


class TerminalError(ClspError):
    """Trying again with the same input cannot help."""


class TransientError(ClspError):
    """Trying again later may help."""


class ModelNotFound(TerminalError):
    """No such model name, or a file of the model is missing where it was looked for."""


class CheckpointMismatch(TerminalError):
    """Weights do not fit the architecture, or a file's hash is not the pinned one."""


class InputError(TerminalError, ValueError):
    """Audio or text that the model cannot take: too short, wrong shape, empty."""


class TrainingCollapsed(TerminalError):
    """Training came to nothing: everything has the same embedding, or the loss is no number."""
