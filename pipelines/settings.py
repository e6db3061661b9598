"""One frozen settings object for a tagging run, read once; its docstring is the usage table."""

from dataclasses import dataclass

from pipelines.archive import DEFAULT_EXCLUDE
from pipelines.errors import SettingsError

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class TagSettings:
    """What to tag, into which lake, how.

    | setting        | meaning                                                       | default    |
    | -------------- | ------------------------------------------------------------- | ---------- |
    | source         | folder, file or URL of the archive                            |            |
    | lake           | folder of the tables                                          |            |
    | model          | `tiny`, `yfyeung/CLSP` or a folder                            | tiny       |
    | taxonomy       | YAML file of attributes and styles                            | built in   |
    | segments       | `whole`, `windows`, `windows:LENGTH`, `windows:LENGTH/HOP` (s) | windows    |
    | executor       | `local` (this process) or `ray` (actors)                      | local      |
    | ray_address    | a cluster's address; without one Ray starts on this machine   |            |
    | workers        | Ray actors; one per GPU, else one per 4 CPUs                  | by machine |
    | device         | `auto`, `cpu`, `cuda`                                         | auto       |
    | batch_s        | seconds of audio in one batch, padding included               | 60         |
    | decode_threads | threads that decode, in each worker                           | 2          |
    | chunk_files    | most files committed together                                 | 256        |
    | chunk_mib      | most MiB of files committed together                          | 256        |
    | include        | globs on the path within the archive; empty is all            |            |
    | exclude        | globs left out                                                | hidden     |

    Raises SettingsError for a value that means nothing.
    """

    source: str
    lake: str
    model: str = "tiny"
    taxonomy: str | None = None
    segments: str = "windows"
    executor: str = "local"
    ray_address: str | None = None
    workers: int | None = None
    device: str = "auto"
    batch_s: float = 60.0
    decode_threads: int = 2
    chunk_files: int = 256
    chunk_mib: int = 256
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise SettingsError(f"executor {self.executor!r}: expected one of {list(EXECUTORS)}")
        for name in ("batch_s", "decode_threads", "chunk_files", "chunk_mib"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"{name} {getattr(self, name)}: expected more than 0")
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"workers {self.workers}: expected at least 1")
