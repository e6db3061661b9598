"""What the tests of labelled speech write and look at: trees of files, manifests, items by name.

Trees have the published names and empty files: no reader opens audio.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from pipelines.datasets import Dataset, Item


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def by_name(dataset: Dataset) -> dict[str, Item]:
    return {Path(item.uri).stem: item for item in dataset.items}


def cut(source: str = "download/ears/p001.wav", **changes: Any) -> dict[str, Any]:
    """One line of FCaps, as the authors' recipe writes it."""
    return {
        "id": "test-ears-p001",
        "start": 0.0,
        "duration": 4.0,
        "channel": 0,
        "supervisions": [
            {
                "id": "test-ears-p001",
                "recording_id": "test-ears-p001",
                "start": 0.0,
                "duration": 4.0,
                "channel": 0,
                "text": "so it goes",
                "speaker": "p001",
                "gender": "female",
                "custom": {
                    "global_captions": ["A woman speaks.", "A female voice."],
                    "finegrained_captions": ["She begins slowly.", "She ends fast."],
                    "pitch": "medium-pitched",
                    "situational_tags": ["happy"],
                },
            }
        ],
        "recording": {
            "id": "test-ears-p001",
            "sources": [{"type": "file", "channels": [0], "source": source}],
            "sampling_rate": 16000,
            "num_samples": 64000,
            "duration": 4.0,
            "channel_ids": [0],
            "transforms": [{"name": "Resample", "kwargs": {"source_sampling_rate": 48000}}],
        },
        "type": "MonoCut",
        **changes,
    }


def manifest(path: Path, *cuts: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(each) + "\n" for each in cuts)
    return path
