"""`clsp train`, from a table of files and captions to a model folder that every command takes."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clsp.errors import InputError
from clsp.training import splits
from clsp.training.options import parse
from flows.cli import app, main
from pipelines.datasets import Dataset, Item, Skipped
from pipelines.errors import RecordingError
from pipelines.training_data import (
    DataOptions,
    TrainingConfig,
    collect,
    decode,
    read_config,
    train,
)
from tests.places import ROOT

CLIPS = {
    "voicemail/fast.ogg": "A hurried voice.",
    "voicemail/slow.opus": "Someone with a lot of time.",
    "voicemail/quiet.wav": "Barely audible.",
    "podcast/outro.flac": "A farewell to the listeners.",
    "podcast/episode-01.m4a": "A host at the microphone.",
    "field-notes/river bank.wav": "Speech beside water.",
    "damaged/minutes.wav": "Not audio at all.",
}


@pytest.fixture
def folder(tmp_path, sample_archive) -> Path:
    """A small data set and a config beside it."""
    rows = []
    for number, (name, caption) in enumerate(CLIPS.items()):
        copy = tmp_path / f"clip {number}{Path(name).suffix}"
        shutil.copy(sample_archive / name, copy)
        split = "dev" if number < 2 else "train"
        rows.append((copy.name, split, caption, f"{caption} Recorded as number {number}."))
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "split", "global_caption", "finegrained_caption"))
        writer.writerows(rows)
    write(tmp_path / "train.yaml")
    return tmp_path


def write(path: Path, **changes: dict) -> Path:
    config: dict[str, dict] = {
        "data": {"kind": "table", "root": "captions.csv"},
        "model": {"init": "tiny", "freeze": ["speech_encoder"]},
        "train": {
            "stage": 2, "steps": 3, "batch_clips": 4, "max_s": 1.0, "warmup_steps": 1,
            "eval_every": 2, "save_every": 2, "log_every": 1,
        },
    }  # fmt: skip
    for section, values in changes.items():
        config[section] = {**config[section], **values}
    path.write_text(yaml.safe_dump(config))
    return path


def clsp(*args: object) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_a_table_of_captions_becomes_a_model_that_classifies(folder, sample_archive):
    out = folder / "mine"
    given = ("train", "--config", folder / "train.yaml", "--out", out, "--device", "cpu")
    report = json.loads(clsp(*given, "--json"))
    assert report["out"] == str(out)
    assert (report["steps"], report["model"]) == (3, {"init": "tiny", "freeze": ["speech_encoder"],
        "layer_decay": 1.0, "rates": dict.fromkeys(("speech_encoder", "text_encoder", "heads"), 1.0)
    })  # fmt: skip
    data = report["data"]
    assert (data["train_clips"], data["dev_clips"], data["left_out"]) == (4, 2, 1)
    assert "minutes" not in data["left_out_why"]
    assert re.search("not audio", next(iter(data["left_out_why"].values())))
    record = json.loads((out / "training.json").read_text())
    assert record == {k: v for k, v in report.items() if k != "out"}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {p.name for p in out.iterdir()}

    question = ("--labels", "happy,sad", "--json")
    clip = sample_archive / "voicemail/slow.opus"
    answer = json.loads(clsp("classify", clip, *question, "--model", out))
    other = json.loads(clsp("classify", clip, *question))
    assert answer["segments"][0]["cosine"] != other["segments"][0]["cosine"]

    weights = (out / "model.safetensors").read_bytes()
    clsp(*given)  # nothing left to do
    assert (out / "model.safetensors").read_bytes() == weights
    assert json.loads(clsp(*given, "--steps", 5, "--json"))["steps"] == 5
    assert json.loads(clsp(*given, "--no-resume", "--json"))["steps"] == 3


def test_the_command_says_what_is_wrong_in_one_sentence(folder, monkeypatch, capsys):
    config = write(folder / "wrong.yaml", train={"learning_rats": 1.0})
    monkeypatch.setattr(
        "sys.argv", ["clsp", "train", "--config", str(config), "--out", str(folder / "mine")]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "no option 'learning_rats'; did you mean 'learning_rate'?" in capsys.readouterr().err


def test_progress_goes_to_standard_error(folder):
    given = ["train", "--config", str(folder / "train.yaml"), "--out", str(folder / "mine")]
    result = CliRunner().invoke(app, given)
    assert result.stdout == ""
    for said in ("4 clips", "1 left out", "step 1: loss", "step 2: dev loss", "holds the best"):
        assert said in result.stderr


def test_the_readmes_example_is_a_config():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    config = parse(TrainingConfig, yaml.safe_load(found[1]), "README")
    assert config.data.kind == "table"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", r"got list \['a'\]; expected a mapping"),
        ("model: {init: tiny}", r"data not given"),
        ("data: {kind: table}", r"data: root not given; expected kind, root"),
        ("data: {kind: table, root: x, dev_share: 2}", r"dev_share 2\.0: expected 0 to 0\.5"),
        ("data: {kind: table, rooot: x}", r"no option 'rooot'; did you mean 'root'\?"),
        ("data: {kind: ravdess, root: x}", r"kind 'ravdess': expected table or lhotse.*captions"),
        ("data: [", r"not YAML"),
    ],
)
def test_a_config_is_checked(tmp_path, text, message):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path)


def test_paths_in_a_config_are_taken_from_its_folder(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(
        "data: {kind: table, root: here/captions.csv, options: {audio_root: audio}}\n"
        "model: {init: ./base}\n"
    )
    config = read_config(path, steps=7)
    assert config.data.options == {"audio_root": str(tmp_path / "audio")}
    assert config.data.root == str(tmp_path / "here/captions.csv")
    assert Path(config.model.init) == tmp_path / "base"
    assert config.train.steps == 7


def test_the_model_to_start_from_is_not_overwritten(folder):
    config = read_config(folder / "train.yaml")
    base = folder / "base"
    base.mkdir()
    config = replace(config, model=replace(config.model, init=str(base)))
    with pytest.raises(InputError, match="expected another folder"):
        train(config, base)


def test_training_from_scratch_is_possible(folder):
    config = write(folder / "scratch.yaml", model={"init": "tiny-config", "freeze": []},
                   train={"steps": 1})  # fmt: skip
    report = train(read_config(config), folder / "scratch", device="cpu")
    assert report["started_from"] == "tiny-config@random"
    assert report["best"]["loss"] < 20


def headers_alone(folder: Path, damaged: int, clips: int = 6) -> Path:
    """A config to start from nothing; the first clips have a header, and no audio after it."""
    noise = np.random.default_rng(0).standard_normal((clips, 16_000)) * 0.05
    for number in range(clips):
        path = folder / f"noise {number}.flac"
        soundfile.write(path, noise[number], 16_000)
        if number < damaged:
            whole = path.read_bytes()
            path.write_bytes(whole[:200] + bytes(len(whole) - 200))
    rows = "".join(f"noise {n}.flac,train,Noise {n}.\n" for n in range(clips))
    (folder / "noise.csv").write_text(f"file,split,caption\n{rows}")
    model = {"init": "tiny-config", "freeze": []}
    train = {"stage": 1, "steps": 1}
    return write(folder / "noise.yaml", data={"root": "noise.csv"}, model=model, train=train)


def test_from_scratch_a_damaged_file_among_the_first_is_passed_over(tmp_path):
    config = read_config(headers_alone(tmp_path, damaged=2))
    assert collect(config.data, stage=1).summary["train_clips"] == 6  # the headers are whole
    assert train(config, tmp_path / "out", device="cpu")["steps"] == 1


def test_from_scratch_with_nothing_to_hear_is_an_error(tmp_path):
    config = read_config(headers_alone(tmp_path, damaged=6))
    with pytest.raises(InputError, match=r"none of 6 clips can be decoded .*noise 0\.flac"):
        train(config, tmp_path / "out", device="cpu")


# ---- the data -------------------------------------------------------------------------------


def test_a_span_is_what_slicing_the_whole_gives(sample_archive):
    path = str(sample_archive / "podcast/outro.flac")
    whole = decode(path, 0.0, None)
    span = decode(path, 0.5, 1.25)
    assert len(span) == 12_000
    with pytest.raises(RecordingError, match=r"before the clip's 99\.00 s"):
        decode(path, 99.0, None)
    middle = slice(100, -100)  # resampling sees past neither end of a span
    assert np.abs(span[middle] - whole[8_000:20_000][middle]).max() < 1e-4


def dataset(monkeypatch, items: list[Item], skipped: tuple[Skipped, ...] = ()) -> DataOptions:
    found = Dataset("made", tuple(items), skipped)
    monkeypatch.setattr("pipelines.datasets.read", lambda kind, root, **options: found)
    return DataOptions("table", "anywhere")


def test_spans_splits_and_what_is_left_out(monkeypatch, sample_archive):
    clip = str(sample_archive / "podcast/outro.flac")
    both = {"fine": ("f1", "f2", "f1"), "global": ("g", "f2")}
    options = dataset(
        monkeypatch,
        [
            Item(clip, captions=both, split="train", start_s=0.5, end_s=1.5),
            Item(clip, captions=both, split="train", start_s=1.0, end_s=99.0),
            Item(clip, captions=both, split="dev"),
            Item(clip, captions=both, split="test", start_s=0.0, end_s=1.0),
            Item(clip, captions=both, split="train", start_s=0.5, end_s=0.6),
            Item(clip, captions={"fine": ("one",)}, split="train", start_s=0.1, end_s=1.2),
            Item("/no/such.wav", captions=both, split="train"),
            Item("s3://bucket/a.wav", captions=both, split="train"),
        ],
        (Skipped("line 9", "no file"),),
    )
    data = collect(options, stage=2)
    first, second = data.train
    assert (first.duration_s, len(first.load(0.0, 10.0))) == (1.0, 16_000)
    assert np.array_equal(first.load(0.25, 0.5), decode(clip, 0.75, 1.25))
    assert second.duration_s < 20
    assert (first.fine_captions, first.global_captions) == (("f1", "f2"), ("g",))
    assert len(data.dev) == 1
    why = data.summary["left_out_why"]
    assert data.summary["other_splits"] == {"split test": 1}
    assert re.search("shorter than min_s", why[f"{clip}#0.5-0.6"])
    assert why[f"{clip}#0.1-1.2"] == "1 caption(s): stage 2 wants 2"
    assert "remote" in why["s3://bucket/a.wav"]
    assert why["line 9"] == "no file"
    assert data.summary["left_out"] == 5
    assert collect(options, stage=1).summary["train_clips"] == 3
    assert collect(options, stage=1).summary["digest"] != data.summary["digest"]


def test_without_splits_whole_speakers_are_held_out(monkeypatch, sample_archive):
    clip = str(sample_archive / "podcast/outro.flac")
    items = [
        Item(clip, captions={"fine": (f"clip {n}",)}, speaker=f"speaker {n % 20}",
             start_s=0.0, end_s=1 + n / 1_000)
        for n in range(200)
    ]  # fmt: skip
    options = replace(dataset(monkeypatch, items), dev_share=0.3)
    data = collect(options, stage=1)
    speakers = [
        {int(e.fine_captions[0].split()[1]) % 20 for e in part} for part in (data.train, data.dev)
    ]
    assert not speakers[0] & speakers[1]
    assert 20 <= len(data.dev) <= 120
    assert [e.name for e in collect(options, 1).dev] == [e.name for e in data.dev]


@given(st.sets(st.text(max_size=8), min_size=1, max_size=40), st.sampled_from([0.0, 0.1, 0.5]))
def test_two_clips_at_least_are_held_out_and_two_stay(files, share):
    held = splits.held_out(files, share)
    assert held == splits.held_out(sorted(files), share) <= files
    assert len(held) != 1
    if held:
        assert share and len(files - held) >= 2
    if share and len(files) >= 6:
        assert held


@given(st.integers(1, 200))
def test_more_data_moves_nobody_to_the_other_side(count):
    files = [f"clip {number}.wav" for number in range(200)]
    held = splits.held_out(files[:count], 0.3)
    if len(held) > 2:
        assert held == splits.held_out(files, 0.3) & set(files[:count])


def test_speakers_are_held_out_whole_or_not_at_all():
    assert splits.held_out(["one"] * 500 + ["other"] * 500, 0.01) == set()  # half is too much
    assert len(splits.held_out((f"speaker {n % 10}" for n in range(100)), 0.001)) == 1


def pieces(archive: Path, said: list[str | None]) -> list[Item]:
    """A clip for each of these splits."""
    path = str(archive / "podcast/outro.flac")
    return [
        Item(path, captions={"fine": (f"f{n}",)}, split=split, start_s=0.0, end_s=1 + n / 100)
        for n, split in enumerate(said)
    ]


@pytest.mark.parametrize("clips", [6, 10, 12])
def test_a_small_set_without_splits_has_dev_clips(monkeypatch, sample_archive, clips):
    for draw in range(10):
        items = [
            replace(item, speaker=f"speaker {draw}-{number}")
            for number, item in enumerate(pieces(sample_archive, [None] * clips))
        ]
        data = collect(dataset(monkeypatch, items), stage=1)
        assert len(data.dev) >= 2 and len(data.train) >= 2
        assert data.summary["without_split"] == 0


def test_clips_without_a_split_among_others_are_counted(monkeypatch, sample_archive):
    items = pieces(sample_archive, ["train", "dev", "dev", None, None, None])
    summary = collect(dataset(monkeypatch, items), stage=1).summary
    assert (summary["train_clips"], summary["dev_clips"], summary["without_split"]) == (4, 2, 3)


def test_a_dev_split_of_another_name_is_not_passed_over(monkeypatch, sample_archive):
    items = pieces(sample_archive, ["train", "train", "Validation", "Validation", "test"])
    options = dataset(monkeypatch, items)
    with pytest.raises(InputError, match=r"no split 'dev' among .*Say dev_split: Validation"):
        collect(options, stage=1)
    assert len(collect(replace(options, dev_split="Validation"), stage=1).dev) == 2
    assert len(collect(replace(options, dev_split="none"), stage=1).dev) == 0


def test_nothing_to_learn_from_is_an_error_with_reasons(monkeypatch):
    options = dataset(monkeypatch, [Item("/no/such.wav", captions={"fine": ("f",)})])
    with pytest.raises(InputError, match=r"1 clips, 1 left out .*No such file"):
        collect(options, stage=1)
