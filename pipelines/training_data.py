"""A data set of captioned speech to what the trainer takes, and a whole run from one YAML file.

Knows the readers of pipelines/datasets, decoding, and the file that says how to train; nothing of
losses or the terminal. A file that cannot be used is left out and counted, never the end of a run.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from clsp.errors import InputError, TerminalError
from clsp.training import splits
from clsp.training.options import ModelOptions, TrainOptions, parse
from pipelines.archive import is_remote
from pipelines.audio import open_recording
from pipelines.errors import FailureKind
from pipelines.samples import to_16k

if TYPE_CHECKING:
    from torch import Tensor

    from clsp.training.batches import Example
    from pipelines.datasets.items import Item

SHOWN = 20  # reasons listed in the record; all are counted
PROBES = 8  # files whose headers are read at once
HEARD = 16  # clips by whose features random weights are scaled
CAPTIONED = ("table", "lhotse")  # layouts with captions; the others have labels only


@dataclass(frozen=True)
class DataOptions:
    """Which clips, and which of them are held out."""

    kind: str  # one of CAPTIONED
    root: str
    options: dict[str, Any] = field(default_factory=dict)  # of the reader
    train_split: str = "train"
    dev_split: str = splits.DEV
    dev_share: float = 0.1  # held out where no item has a split: whole speakers, else whole files
    min_s: float = 0.5  # shorter clips are left out

    def __post_init__(self) -> None:
        if self.kind not in CAPTIONED:
            raise InputError(
                f"kind {self.kind!r}: expected {' or '.join(CAPTIONED)}. Other layouts have labels "
                "but no captions to learn from: write a table of files and captions"
            )
        if not 0 <= self.dev_share <= 0.5:
            raise InputError(f"dev_share {self.dev_share}: expected 0 to 0.5")
        if self.min_s < 0.085:
            raise InputError(f"min_s {self.min_s}: expected at least 0.085, what the model takes")


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run: the mapping in a YAML file."""

    data: DataOptions
    model: ModelOptions = field(default_factory=ModelOptions)
    train: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True)
class TrainingData:
    """Examples to learn from and to measure on. summary: what was found, used and left out, and
    the digest by which a resumed run knows its data again."""

    train: "Sequence[Example]"
    dev: "Sequence[Example]"
    summary: dict[str, Any]


def read_config(path: str | Path, steps: int | None = None) -> TrainingConfig:
    """The YAML file at `path`; `steps` stands in for its train.steps.

    A relative data.root or data.options.audio_root, and a model.init that is a path (it has a slash
    or dot first), are taken from the folder of the file. Raises InputError, naming the option and
    what was expected.
    """
    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"config {path}: {error}; expected a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        raise InputError(f"config {path}: not YAML: {error}") from error
    config = parse(TrainingConfig, given, str(path))
    data = replace(config.data, root=_beside(path, config.data.root))
    if isinstance(audio_root := data.options.get("audio_root"), str):
        data = replace(data, options={**data.options, "audio_root": _beside(path, audio_root)})
    init = config.model.init
    if init.startswith(("./", "../", "~")):
        init = _beside(path, init)
    train = replace(config.train, steps=steps) if steps is not None else config.train
    return TrainingConfig(data=data, model=replace(config.model, init=init), train=train)


def _beside(config: Path, given: str) -> str:
    """A path that a config file names: a relative one is taken from that file's folder. Raises
    InputError for the home of nobody known."""
    try:
        return given if is_remote(given) else str(config.parent / Path(given).expanduser())
    except RuntimeError as error:
        raise InputError(f"{config}: {given!r}: {error}. Write the path out") from error


def train(
    config: TrainingConfig,
    out: str | Path,
    device: str = "auto",
    resume: bool = True,
    say: Callable[[dict[str, Any]], None] = lambda line: None,
) -> dict[str, Any] | None:
    """Train as `config` says, into the model folder `out`; returns what training.json holds.

    Under torchrun each process calls this, and the first alone gets an answer. `say` is told of
    the data, then of logged steps.
    """
    from clsp.training import parallel, start
    from clsp.training.trainer import Trainer

    out = Path(out)
    if Path(config.model.init).is_dir() and Path(config.model.init).resolve() == out.resolve():
        raise InputError(f"{out} is the model to start from: expected another folder to write to")
    with parallel.processes(device) as place:
        data = collect(config.data, config.train.stage)
        if parallel.rank() == 0:
            say({"data": data.summary})
        model = start.start(config.model.init, config.train.seed)
        if config.model.init in start.FROM_SCRATCH:
            start.standardise(model, _first_heard(data.train))
        trainer = Trainer(
            model, data.train, data.dev, config.train, out,
            model_options=config.model, device=place, say=say,
            provenance={"config": asdict(config.data), **data.summary},
        )  # fmt: skip
        report = trainer.run(resume)
        return report if parallel.rank() == 0 else None


def _first_heard(examples: "Sequence[Example]") -> "list[Tensor]":
    """Features of the first HEARD clips that can be decoded. Raises InputError for none at all."""
    from clsp.training.batches import beginning

    heard: list[Tensor] = []
    why: dict[str, str] = {}
    for example in examples:
        if len(heard) == HEARD:
            break
        try:
            heard.append(beginning(example, 10.0))
        except TerminalError as error:
            why[example.name] = str(error)
    if not heard:
        raise InputError(
            f"none of {len(examples)} clips can be decoded ({dict(list(why.items())[:3])}): "
            "expected speech to learn from. Look at the data first"
        )
    return heard


# ---- examples -------------------------------------------------------------------------------


def collect(options: DataOptions, stage: int) -> TrainingData:
    """Read the data set, look at every file's header, and split.

    Raises InputError when nothing is left to learn from, with the reasons.
    """
    from pipelines.datasets import read

    found = read(options.kind, options.root, **options.options)
    named = {item.split for item in found.items if item.split is not None}
    splits.check_dev(named, options.dev_split, f"{options.kind} at {options.root}")
    left_out = {one.uri: one.reason for one in found.skipped}
    examples: list[tuple[Example, Item]] = []
    durations = probe([item.uri for item in found.items])
    for item in found.items:
        heard = durations[item.uri]
        made = heard if isinstance(heard, str) else _example(item, heard, options, stage)
        if isinstance(made, str):
            left_out[_name(item)] = made
        else:
            examples.append((made, item))
    held_out = splits.held_out((_who(item) for _, item in examples), options.dev_share)
    by_split: dict[str, list[Example]] = {"train": [], "dev": []}
    for made, item in examples:
        drawn = "dev" if _who(item) in held_out else "train"
        by_split.setdefault(_split(item, options) if named else drawn, []).append(made)
    if len(by_split["train"]) < 2:
        reasons = dict(list(left_out.items())[:3])
        counts = {split: len(some) for split, some in by_split.items()}
        raise InputError(
            f"{options.kind} at {options.root}: {len(found.items)} clips, {len(left_out)} left out "
            f"({reasons}), splits {counts}; expected at least two usable clips of split "
            f"{options.train_split!r}, with captions for stage {stage}"
        )
    used = [*by_split["train"], *by_split["dev"]]
    said = [text for one in used for text in (*one.fine_captions, *one.global_captions)]
    summary = {
        "digest": _digest(by_split),
        "name": found.name,
        "train_clips": len(by_split["train"]),
        "train_hours": round(sum(one.duration_s for one in by_split["train"]) / 3600, 3),
        "dev_clips": len(by_split["dev"]),
        "other_splits": {k: len(v) for k, v in by_split.items() if k not in ("train", "dev")},
        "without_split": sum(item.split is None for _, item in examples) if named else 0,
        "captions": len(said),
        "different_captions": len(set(said)),
        "left_out": len(left_out),
        "left_out_why": dict(list(left_out.items())[:SHOWN]),
    }
    return TrainingData(by_split["train"], by_split["dev"], summary)


def probe(uris: Sequence[str]) -> dict[str, float | str]:
    """By file: its duration in seconds, or why it cannot be read. Headers only, where they tell;
    a file whose header does not is decoded once."""

    def look(uri: str) -> float | str:
        if is_remote(uri):
            return "remote: training reads local files; copy it, or mount the store"
        try:
            with open_recording(uri) as recording:
                if recording.info.duration_s is not None:
                    return recording.info.duration_s
                samples = sum(len(block) for block in recording.blocks())
                return samples / recording.info.sample_rate
        except TerminalError as error:
            return str(error)

    different = list(dict.fromkeys(uris))
    with ThreadPoolExecutor(PROBES) as pool:
        return dict(zip(different, pool.map(look, different), strict=True))


def decode(uri: str, first_s: float, last_s: float | None) -> np.ndarray:
    """A span of a recording as float32 (samples,), 16 kHz mono; to its end where last_s is None.

    Decodes from the start of the file up to `last_s`: cut very long recordings beforehand. Raises
    RecordingError.
    """
    with open_recording(uri) as recording:
        rate = recording.info.sample_rate
        first = round(first_s * rate)
        last = None if last_s is None else round(last_s * rate)
        parts, seen = [], 0
        for block in recording.blocks():
            stop = len(block) if last is None else last - seen
            parts.append(block[max(first - seen, 0) : stop])
            seen += len(block)
            if last is not None and seen >= last:
                break
        if not (samples := np.concatenate(parts)).size:
            text = f"it ends after {seen / rate:.2f} s, before the clip's {first_s:.2f} s"
            raise recording.error(FailureKind.TRUNCATED, text)
    return to_16k(samples, rate)


def _load(
    uri: str, start_s: float, end_s: float | None, offset_s: float, seconds: float
) -> np.ndarray:
    first = start_s + offset_s
    last = first + seconds
    return decode(uri, first, last if end_s is None else min(last, end_s))


def _example(item: "Item", file_s: float, options: DataOptions, stage: int) -> "Example | str":
    """An example, or why there is none."""
    from clsp.training.batches import Example
    from clsp.training.contrastive import enough_texts

    start_s = item.start_s or 0.0
    duration_s = min(file_s if item.end_s is None else item.end_s, file_s) - start_s
    fine = tuple(dict.fromkeys(item.captions.get("fine", ())))
    # A text that is said to be both is fine: the second text of a clip must be another one.
    glob = tuple(t for t in dict.fromkeys(item.captions.get("global", ())) if t not in fine)
    if duration_s < options.min_s:
        return f"{duration_s:.2f} s: shorter than min_s, {options.min_s} s"
    if not enough_texts(fine, glob, stage):
        return f"{len(fine) + len(glob)} caption(s): stage {stage} wants {stage}"
    load = partial(_load, item.uri, start_s, item.end_s)
    return Example(_name(item), duration_s, load, fine, glob)


def _name(item: "Item") -> str:
    span = "" if item.start_s is None else f"#{item.start_s:g}-{item.end_s or 'end'}"
    return item.uri + span


def _split(item: "Item", options: DataOptions) -> str:
    """train, dev, or a split that is left alone; an item without one is learnt from."""
    named = {None: "train", options.train_split: "train", options.dev_split: "dev"}
    return named.get(item.split, f"split {item.split}")


def _who(item: "Item") -> str:
    """What is held out as one: a speaker, else a file."""
    return item.speaker or Path(item.uri).name


def _digest(by_split: "dict[str, list[Example]]") -> str:
    """Of names, durations and captions, 16 hex digits; the audio itself is not read for it."""
    told = {
        split: [(e.name, round(e.duration_s, 3), e.fine_captions, e.global_captions) for e in some]
        for split, some in by_split.items()
        if split in ("train", "dev")
    }
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()
