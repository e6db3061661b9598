"""Sets of clips on disk: features belong to their clips, whatever was cut off or replaced."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clsp.embedder import Embedder
from clsp.errors import InputError
from clsp.features import fbank
from clsp.training import dataset, evaluate, train
from clsp.training.synthesise import read_audio


def shard(folder: Path, number: int, clips: int = 2, manifest: bool = True) -> None:
    """A shard of noise, of another length for each clip and number."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng([number, clips])
    sizes = [3_200 + 160 * (clip + 3 * number) for clip in range(clips)]
    audio = rng.integers(-9_000, 9_000, sum(sizes)).astype(np.int16)
    np.savez(folder / f"shard-{number:05d}.npz", audio=audio, lengths=sizes)
    rows = [{"id": f"{number}-{clip}", "split": "train", "attributes": {}} for clip in range(clips)]
    if manifest:
        lines = "\n".join(map(json.dumps, rows)) + "\n"
        (folder / f"shard-{number:05d}.jsonl").write_text(lines)


def assert_own_features(folder: Path) -> None:
    clips = dataset.load(folder)["train"]
    heard = list(read_audio(folder))
    assert len(clips) == len(heard)
    for clip, waveform in enumerate(heard):
        wanted = fbank(torch.from_numpy(waveform)).numpy().astype(np.float16)
        np.testing.assert_array_equal(clips.crop(clip, 999, None), wanted)


def test_a_shard_without_its_manifest_is_none(tmp_path: Path) -> None:
    shard(tmp_path, 0)
    shard(tmp_path, 1, manifest=False)  # cut off between the two
    shard(tmp_path, 2)
    assert_own_features(tmp_path)
    assert [row["id"] for row in dataset.load(tmp_path)["train"].rows] == [
        "0-0",
        "0-1",
        "2-0",
        "2-1",
    ]


def test_features_are_made_anew_where_clips_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(tmp_path, 0)
    assert_own_features(tmp_path)
    shard(tmp_path, 1)
    with monkeypatch.context() as patched:  # killed when the features are there, and lengths not
        real, saved = np.save, []

        def killed(path: Path, made: np.ndarray) -> None:
            if saved:
                raise KeyboardInterrupt
            saved.append(path)
            real(path, made)

        patched.setattr(np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset.load(tmp_path)
    assert_own_features(tmp_path)
    for number, other in ((0, 5), (1, 6)):  # as many clips, and others
        shard(tmp_path / "other", other)
        (tmp_path / "other" / f"shard-{other:05d}.npz").replace(
            tmp_path / f"shard-{number:05d}.npz"
        )
    assert_own_features(tmp_path)
    before = (tmp_path / "features.npy").stat().st_mtime_ns
    dataset.load(tmp_path)
    assert (tmp_path / "features.npy").stat().st_mtime_ns == before  # once is enough


def test_a_model_to_which_all_is_alike_retrieves_nothing(
    tiny: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(tmp_path, 0, clips=4)
    clips = dataset.load(tmp_path)["train"]
    for number, row in enumerate(clips.rows):
        row["attributes"] = {"level": ("quiet", "normal", "loud")[number % 3]}
    alike = torch.nn.functional.normalize(torch.ones(4, 8), dim=1)
    monkeypatch.setattr(type(tiny), "embed_text", lambda self, texts: alike[: len(texts)])
    assert evaluate.retrieval(tiny, alike, clips)["R@1"] == 0


def test_phases_of_other_steps_or_clips_are_not_taken_for_these(tmp_path: Path) -> None:
    record = tmp_path / "made-of.json"
    made_of = {"clips": 10, "steps": {"text": 3}}
    train.require_same(record, made_of)
    train.require_same(record, made_of)
    with pytest.raises(InputError, match=r"holds phases made of .*'clips': 10.*Remove that folder"):
        train.require_same(record, made_of | {"clips": 12})
