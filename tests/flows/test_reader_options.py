"""`--reader NAME=VALUE`: text, of which the reader makes what it takes."""

import sys
from pathlib import Path

import pytest

from flows.cli import main


@pytest.fixture
def sung(tmp_path: Path) -> Path:
    (tmp_path / "03-02-03-01-01-01-01.wav").touch()
    return tmp_path


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    monkeypatch.setattr(sys, "argv", ["clsp", "evaluate", "zero-shot", *args])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 3
    return capsys.readouterr().err


@pytest.mark.parametrize("value", ["no", "0", "False"])
def test_no_is_not_yes(value, sung, monkeypatch, capsys):
    given = [str(sung), "--preset", "ravdess-emotion", "--reader", f"songs={value}"]
    error = told(monkeypatch, capsys, *given)
    assert "no clip" in error and "sung" in error  # none but the sung one, which was passed over


def test_a_value_of_another_type_is_refused(sung, monkeypatch, capsys):
    given = [str(sung), "--kind", "ravdess", "--reader", "songs=sometimes"]
    error = told(monkeypatch, capsys, *given)
    assert "option songs of ravdess is 'sometimes': expected true or false" in error
