"""What the pipeline costs around the encoder: decoding, features, labels, tables, start-up.

    python -m tests.benchmarks.pipeline [--precision int8] [--clips 24]

`steady`: clips a run tags per second beyond start-up (twice the clips, less the clips), over what
the bare encoder does with their features, decoded and ideally sorted beforehand; CPU time on one
thread. The published size with random weights, and the embedded model. `ray`: files that its
executor tags per second, over those of this process, by the clock. `start-up`: a whole `clsp tag`
of one short file, over a bare `import torch`, CPU time. `memory to load`: the most that a process
ever had resident, PyTorch and all, over the weights' file.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

import clsp
from clsp import Embedder
from clsp.architecture import Architecture
from clsp.checkpoint import PRECISIONS
from clsp.features import fbank
from pipelines import query
from pipelines.lake import Lake
from pipelines.settings import TagSettings
from pipelines.tagging import tag
from tests.benchmarks.encoder import cpu_s, sorted_batches, speech_lengths
from tests.places import SAMPLE_ARCHIVE

SAMPLE_RATE = 16_000
REPEATS = 3
CHUNKS = 8  # of a run that is measured between its commits


def archive(folder: Path, clips: int, seed: int) -> list[torch.Tensor]:
    """Noise as long as utterances, in FLAC files; also as waveforms."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    made = []
    for i, frames in enumerate(speech_lengths(clips, seed)):
        clip = noise.normal(0, 0.05, frames * SAMPLE_RATE // 100).astype(np.float32)
        soundfile.write(folder / f"{i:05d}.flac", clip, SAMPLE_RATE)
        made.append(torch.from_numpy(clip))
    return made


def archives(folder: Path, clips: int) -> list[torch.Tensor]:
    """`one`, and `two` that holds the same and as many more: these as waveforms."""
    archive(folder / "one", clips, 0)
    archive(folder / "two" / "a", clips, 0)
    return archive(folder / "two" / "b", clips, 1)


@torch.inference_mode()
def bare(model: Embedder, features: list[torch.Tensor]) -> None:
    for group in sorted_batches([len(each) for each in features]):
        model.embed_features([features[i] for i in group])


def steady(model: str, precision: str, clips: int, repeats: int) -> list[float]:
    """Throughput of whole runs over that of the bare encoder, by repeat."""
    torch.set_num_threads(1)
    count = itertools.count()
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        more = archives(Path(folder), clips)

        def run(name: str) -> float:
            given = TagSettings(
                f"{folder}/{name}", f"{folder}/lake-{next(count)}",
                model=model, precision=precision, decode_threads=1, device="cpu",
            )  # fmt: skip
            return cpu_s(tag, given)

        loaded = clsp.load(model, precision=precision)
        features = [fbank(wave) for wave in more]
        found = []
        run("one")
        for _ in range(repeats):
            encoder_s = cpu_s(bare, loaded, features)
            found.append(encoder_s / (run("two") - run("one")))
    return found


def of_ray(clips: int, repeats: int) -> list[float]:
    """Throughput of one Ray worker over that of this process, by the clock, each with one thread:
    of a run from its first commit to its last. To start Ray takes longer than that, and differs."""
    import ray

    torch.set_num_threads(1)
    count = itertools.count()
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        archive(Path(folder, "archive"), clips, 0)

        def per_s(executor: str) -> float:
            given = TagSettings(
                f"{folder}/archive", f"{folder}/lake-{next(count)}", executor=executor,
                chunk_files=clips // CHUNKS, decode_threads=1, device="cpu",
                **({"workers": 1, "worker_cpus": 1} if executor == "ray" else {}),
            )  # fmt: skip
            tag(given)
            if executor == "ray":
                ray.shutdown()
            return _files_per_s(given.lake)

        return [per_s("ray") / per_s("local") for _ in range(repeats)]


def _files_per_s(lake: str) -> float:
    """Of a run's chunks, all but the first."""
    sql = "SELECT committed_at, tagged FROM runs WHERE kind = 'chunk' ORDER BY seq"
    rows = query.run(Lake(Path(lake)), sql).to_pylist()
    taken = rows[-1]["committed_at"] - rows[0]["committed_at"]
    return sum(row["tagged"] for row in rows[1:]) / taken.total_seconds()


def start_up(repeats: int) -> list[float]:
    def child(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    file = str(SAMPLE_ARCHIVE / "voicemail" / "fast.ogg")
    child("-c", "import torch")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repeats):
            run = child("-m", "flows.cli", "tag", file, "--lake", f"{folder}/{i}")
            found.append(run / child("-c", "import torch"))
    return found


def published_size(folder: Path) -> str:
    """A model of the published size with random weights, and the embedded model's text encoder:
    there is no tokenizer here for the published one."""
    tiny = clsp.load("tiny")
    config = Architecture(
        text_config=tiny.config.text_config, text_encoder_dim=tiny.config.text_encoder_dim
    )
    model = Embedder(config)
    model.tokenizer = tiny.tokenizer
    model.save_pretrained(folder)
    return str(folder)


def load_memory(folder: str, precision: str) -> list[float]:
    # Not getrusage: a child's begins with what its parent held.
    code = (
        f"import clsp, re; clsp.load({folder!r}, precision={precision!r}); "
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return [int(done.stdout) * 1024 / Path(folder, "model.safetensors").stat().st_size]


def row(name: str, found: list[float]) -> dict[str, object]:
    made = {"ratio": statistics.median(found), "min": min(found), "max": max(found)}
    print(f"{name}: {made['ratio']:.2f} ({made['min']:.2f} to {made['max']:.2f})", flush=True)
    return {"name": name} | {key: round(value, 3) for key, value in made.items()}


def measured(precision: str = "int8", clips: int = 24) -> list[dict[str, object]]:
    parts: list[tuple[str, Callable[[], list[float]]]] = [
        ("steady, tiny", lambda: steady("tiny", "float32", 10 * clips, REPEATS)),
        ("ray over this process, tiny", lambda: of_ray(20 * clips, REPEATS)),
        ("start-up over `import torch`", lambda: start_up(REPEATS)),
    ]
    found = [row(name, part()) for name, part in parts]
    with tempfile.TemporaryDirectory(prefix="clsp-bench-") as folder:
        model = published_size(Path(folder, "model"))
        found.append(row(f"steady, XLarge in {precision}", steady(model, precision, clips, 1)))
        found += [
            row(f"memory to load, XLarge in {each}", load_memory(model, each))
            for each in PRECISIONS
        ]
    return found


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    measured(given.precision, given.clips)
