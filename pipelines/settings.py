"""One frozen settings object for a tagging run, read once; its docstring is the usage table."""

import os
import re
from dataclasses import dataclass
from math import inf
from pathlib import Path

from clsp.checkpoint import PRECISIONS
from pipelines.audio_info import CHANNELS, Limits
from pipelines.errors import SettingsError
from pipelines.sources import KINDS

EXECUTORS = ("local", "process", "ray")
LIMITS = Limits()
PLACES = ("source", "lake", "out")  # settings that are paths, or URLs
CHUNK, GPU_CHUNK = (256, 256), (4096, 2048)  # most files and MiB, where nobody says
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
DEVICES = Path("/dev")


@dataclass(frozen=True)
class TagSettings:
    """What to tag, into which lake, how.

    | setting        | meaning                                                       | default    |
    | -------------- | ------------------------------------------------------------- | ---------- |
    | source         | folder, file or URL of the archive                            |            |
    | kind           | of source: `folder`, `list`, `scp`, `lhotse`, `webdataset`    | by name    |
    | lake           | folder of the tables                                          |            |
    | model          | `tiny`, `yfyeung/CLSP` or a folder                            | tiny *     |
    | taxonomy       | YAML file of attributes and styles                            | built in * |
    | segments       | `whole`, `windows`, `windows:LENGTH`, `windows:LENGTH/HOP` (s) | windows *  |
    |                | or where somebody speaks: `vad`, `vad:LONGEST` (s)            |            |
    | channels       | `mix`, `split` (each by itself), `left` (first), `right`      | mix *      |
    | precision      | of the speech encoder, part of the model key: `float32` (the  | float32 *  |
    |                | published answers), or faster `bfloat16`, `int8` (CPU only)   |            |
    | executor       | `local` (this process), `process` (child processes: what kills |           |
    |                | one costs one file) or `ray` (actors)                         | local      |
    | ray_address    | a cluster's address; without one Ray starts on this machine   |            |
    | workers        | child processes (else 1); Ray actors (else one per GPU, or one |           |
    |                | per 4 CPUs)                                                   | by machine |
    | worker_cpus    | that each Ray actor takes: more than the nodes have waits for | its share, |
    |                | nodes to come                                                 | at most 4  |
    | worker_gpus    | that each Ray actor takes: 1, or less, where some share one   | 1          |
    | device         | `auto`, `cpu`, `cuda`                                         | auto       |
    | batch_s        | seconds of audio in one batch, padding included               | by device  |
    | decode_threads | threads that decode, in each worker                           | 2          |
    | chunk_files    | most files committed together; on a GPU, which embeds them as | 256; 4,096 |
    |                | one window sorted by length, more: where `device` is `cuda`,  |            |
    |                | or `auto` and this machine shows an NVIDIA GPU, or Ray's       |            |
    |                | workers take `worker_gpus`                                    |            |
    | chunk_mib      | most MiB of files committed together; the same                | 256; 2,048 |
    | max_duration_s | seconds of audio in one file                                  | 24 hours   |
    | max_bytes      | of one file                                                   | 4 GiB      |
    | file_timeout_s | seconds to decode one file, besides as long as it lasts       | 600        |
    | limit          | most files read in this run; the rest stay pending            | all        |
    | include        | globs on the path within the archive; empty is all but hidden |            |
    |                | files, which a glob with a dot finds: `**/.*`                 |            |
    | exclude        | globs left out                                                |            |
    | allow_empty    | an archive that lists as empty: all its files are gone        | False      |

    (*) Or what the lake declares: pipelines.targets.

    Raises SettingsError for a value that means nothing.
    """

    source: str
    lake: str
    model: str | None = None
    taxonomy: str | None = None
    segments: str | None = None
    channels: str | None = None
    precision: str | None = None
    executor: str = "local"
    ray_address: str | None = None
    workers: int | None = None
    worker_cpus: float | None = None
    worker_gpus: float | None = None
    device: str = "auto"
    batch_s: float | None = None
    decode_threads: int = 2
    chunk_files: int | None = None
    chunk_mib: int | None = None
    max_duration_s: float = LIMITS.max_duration_s
    max_bytes: int = LIMITS.max_bytes
    file_timeout_s: float = LIMITS.file_timeout_s
    limit: int | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    kind: str = "auto"
    allow_empty: bool = False

    def __post_init__(self) -> None:
        for name in ("source", "lake", "model", "taxonomy", "segments"):
            check_given(name, getattr(self, name))
        if self.executor not in EXECUTORS:
            raise SettingsError(f"executor {self.executor!r}: expected one of {list(EXECUTORS)}")
        if self.channels is not None and self.channels not in CHANNELS:
            raise SettingsError(f"channels {self.channels!r}: expected one of {list(CHANNELS)}")
        check_device(self.device)
        check_precision(self.precision)
        limits = ("max_duration_s", "max_bytes", "file_timeout_s")
        for name in ("batch_s", "decode_threads", "chunk_files", "chunk_mib", *limits):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise SettingsError(f"{name} {value}: expected more than 0")
        if self.batch_s == inf:
            raise SettingsError("batch_s inf: expected a finite number of seconds")
        for name in ("workers", "limit"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise SettingsError(f"{name} {value}: expected at least 1")
        if (cpus := self.worker_cpus) is not None and (cpus <= 0 or (cpus > 1 and cpus % 1)):
            raise SettingsError(f"worker_cpus {cpus}: expected a whole number, or less than 1")
        if (gpus := self.worker_gpus) is not None and not 0 < gpus <= 1:
            raise SettingsError(f"worker_gpus {gpus}: expected more than 0 and at most 1")
        if self.kind not in KINDS:
            raise SettingsError(f"kind {self.kind!r}: expected one of {list(KINDS)}")

    @property
    def chunk_size(self) -> tuple[int, int]:
        """Most files and bytes committed together. Ray's workers may have other devices than who
        plans: with `auto` they have those that they were given."""
        on_gpu = self.device.startswith("cuda")
        if self.device == "auto":
            on_gpu = bool(self.worker_gpus) if self.executor == "ray" else shows_gpu()
        files, mib = GPU_CHUNK if on_gpu else CHUNK
        return self.chunk_files or files, (self.chunk_mib or mib) << 20


def shows_gpu() -> bool:
    """Whether this machine shows an NVIDIA GPU to this process. Not as sure as torch, whose import
    takes a second: no more than how work is cut may hang on it."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return not hidden and any(DEVICES.glob("nvidia[0-9]*"))


def check_given(name: str, value: str | None) -> None:
    """Raises SettingsError for an empty text, which the current folder or a default would be taken
    for."""
    if value is None or value.strip():
        return
    place = name in PLACES
    kind = "a path of a folder" if name == "lake" else "a path or URL"
    expected = kind if place else "a value, or none at all"
    here = " For the current folder give '.'" if place else ""
    raise SettingsError(
        f"{name} {value!r}: expected {expected}. Is it a shell variable that is not set?{here}"
    )


def check_device(device: str) -> None:
    """Raises SettingsError for the name of a device that there is nowhere."""
    if not DEVICE.fullmatch(device):
        raise SettingsError(
            f"device {device!r}: expected `auto`, `cpu`, `cuda` or one GPU of several, as `cuda:1`"
        )


def check_precision(precision: str | None, device: str = "auto") -> None:
    """Raises SettingsError for a precision that there is not, or not on this device."""
    if precision is not None and precision not in PRECISIONS:
        raise SettingsError(f"precision {precision!r}: expected one of {list(PRECISIONS)}")
    if precision == "int8" and device.startswith("cuda"):
        raise SettingsError(
            f"precision 'int8' on device {device!r}: expected `cpu`. Use bfloat16 on a GPU"
        )
