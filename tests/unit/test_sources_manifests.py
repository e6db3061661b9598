"""Kaldi's folders and lhotse's manifests: each recording once, with what is said of it."""

import pytest

from pipelines.sources.rows import METADATA_BYTES
from tests.unit.source_files import listed, said, sound, write_jsonl

# ---- Kaldi --------------------------------------------------------------------------------------


def test_a_kaldi_folder_with_pipes_arks_and_tables(tmp_path):
    sound(tmp_path / "a b.wav")
    marker = tmp_path / "ran"
    (tmp_path / "wav.scp").write_text(
        f"utt1 a b.wav\nutt2 touch {marker}; sox secret.flac -t wav - |\nutt3\tark/raw.ark:1234\n"
        "utt4\n\nutt5\tgone.wav\r\n"
    )
    (tmp_path / "utt2spk").write_text("utt1 ann\nother bob\n")
    (tmp_path / "spk2gender").write_text("ann f\n")
    (tmp_path / "text").write_text("utt1 hello there\nutt2\n")
    found = listed(tmp_path)
    assert [e.uri for e in found] == ["a b.wav", "utt2", "utt3", "utt4", "gone.wav"]
    assert said(found[0]) == {"key": "utt1", "speaker": "ann", "gender": "f", "text": "hello there"}
    assert said(found[1]) == {"key": "utt2", "text": ""}
    kinds = [e.refusal and e.refusal[0] for e in found]
    assert kinds == [None, "unsupported", "unsupported", "unreadable", "unreadable"]
    assert "shell pipe" in found[1].refusal[1] and "never run" in found[1].refusal[1]
    assert "secret" not in str(found[1])
    assert not marker.exists()
    assert listed(tmp_path / "wav.scp") == found


# ---- lhotse -------------------------------------------------------------------------------------


def recording(id_: str, *sources: dict) -> dict:
    return {"id": id_, "sources": list(sources), "sampling_rate": 16000, "duration": 0.1}


def file_source(name: str, kind: str = "file") -> dict:
    return {"type": kind, "channels": [0], "source": name}


def cut(id_: str, of: dict, start: float = 0.0, text: str | None = None) -> dict:
    spoken = [{"id": "s", "speaker": "ann", "text": text}] if text else []
    return {
        "id": id_, "start": start, "duration": 0.1, "channel": 0, "type": "MonoCut",
        "recording": of, "supervisions": spoken,
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_lhotse_recordings(tmp_path, ending):
    sound(tmp_path / "a.wav")
    rows = [
        recording("r1", file_source("a.wav")),
        recording("r2", file_source("touch ran", "command")),
        recording("r3", file_source("eJw...", "memory")),
        recording("r4", file_source("left.wav"), file_source("right.wav")),
        recording("r5"),
    ]
    found = listed(write_jsonl(tmp_path / f"recordings.{ending}", rows))
    assert [e.uri for e in found] == ["a.wav", "r2", "r3", "left.wav", "right.wav", "r5"]
    assert said(found[0]) == {"recording_id": "r1"}
    assert "'command'" in found[1].refusal[1] and found[1].refusal[0] == "unsupported"
    assert "touch ran" not in str(found[1])
    assert [bool(e.refusal) for e in found] == [False, True, True, True, True, True]


@pytest.mark.parametrize("column", [{"sources": ["web", "tv"]}, {"recording": {"by": "Ann"}}])
def test_a_list_with_columns_that_lhotse_has_too_is_a_list(tmp_path, column):
    sound(tmp_path / "a.wav")
    [entry] = listed(write_jsonl(tmp_path / "l.jsonl", [{"file": "a.wav", **column}]))
    assert (entry.uri, entry.refusal, said(entry)) == ("a.wav", None, column)


def test_lhotse_cuts_list_each_recording_once(tmp_path):
    sound(tmp_path / "a.wav")
    sound(tmp_path / "b.wav")
    a, b = recording("ra", file_source("a.wav")), recording("rb", file_source("b.wav"))
    mixed = {"id": "m", "type": "MixedCut", "tracks": [{"cut": cut("c4", b)}, {"offset": 1}]}
    rows = [cut("c1", a, 0.0, "one"), cut("c2", b), cut("c3", a, 0.05), mixed, {"id": "bare"}]
    found = listed(write_jsonl(tmp_path / "cuts.jsonl", rows))
    assert [e.uri for e in found] == ["cuts.jsonl:5", "a.wav", "b.wav"]
    assert said(found[1]) == {
        "recording_id": "ra",
        "cuts": [
            {
                "id": "c1", "start": 0.0, "duration": 0.1,
                "supervisions": [{"speaker": "ann", "text": "one"}],
            },
            {"id": "c3", "start": 0.05, "duration": 0.1},
        ],
    }  # fmt: skip
    assert [each["id"] for each in said(found[2])["cuts"]] == ["c2", "c4"]
    many = [cut(f"c{i}", a, 0.0, "x" * 500) for i in range(300)]
    [entry] = listed(write_jsonl(tmp_path / "many.jsonl", many))
    assert len(entry.metadata) <= METADATA_BYTES
    assert len(said(entry)["cuts"]) + said(entry)["cuts_left_out"] == 300
