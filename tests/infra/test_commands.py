"""What the files under infra/ run exists: every command parses, every variable has a reader."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest
import typer

from flows.cli import app
from pipelines import errors, verify
from tests.infra.described import RUNBOOK, commands, environment

COMMANDS = commands()
# Read by what is no Python package here, with where that is documented.
OTHERS = {
    "PATH": "the shell", "PYTHONUNBUFFERED": "python(1)", "PYTHONDONTWRITEBYTECODE": "python(1)",
    "NVIDIA_VISIBLE_DEVICES": "NVIDIA's container toolkit",
    "NVIDIA_DRIVER_CAPABILITIES": "NVIDIA's container toolkit",
    "UV_PYTHON_DOWNLOADS": "uv", "UV_LINK_MODE": "uv", "UV_COMPILE_BYTECODE": "uv",
    "UV_NO_CACHE": "uv",
    "POSTGRES_USER": "the image postgres", "POSTGRES_DB": "the image postgres",
    "POSTGRES_PASSWORD": "the image postgres",
}  # fmt: skip
# Who reads the rest, by how it begins.
READERS = {
    "CLSP_": "flows", "RAY_": "ray", "AWS_": "botocore", "HF_": "huggingface_hub",
    "TRITON_": "triton",
}  # fmt: skip


def parse_click(command, words: list[str]) -> None:
    """As click would, down to the last subcommand, and run nothing. Raises UsageError."""
    context = command.make_context(words[0], words[1:])
    if isinstance(command, typer.core.TyperGroup) or hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        if rest:
            name, inner, rest = command.resolve_command(context, rest)
            parse_click(inner, [name, *rest])


def parse(words: list[str]) -> None:
    if words[-1] == "--help":  # click would print and leave
        words = words[:-1]
        if len(words) == 1:
            return
    if words[0] == "clsp":
        parse_click(typer.main.get_command(app), words)
    elif words[0] == "ray":
        from ray.scripts.scripts import cli

        parse_click(cli, words)
    else:
        from prefect.cli import _app

        _app._app.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_there_is_something_to_check():
    assert {words[0] for _, words in COMMANDS} == {"clsp", "prefect", "ray"}
    assert {where for where, _ in COMMANDS} >= {"runbook.md", "compose-demo.sh", "ray-job, RayJob"}


@pytest.mark.parametrize(
    ("where", "words"), COMMANDS, ids=[f"{where}: {' '.join(words)}" for where, words in COMMANDS]
)
def test_a_command_that_is_named_parses(where, words, monkeypatch):
    monkeypatch.setenv("CLSP_LAKE", "lake")  # as the services that run them have it
    parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["clsp", "tag", "archive", "--lake", "lake", "--exekutor", "ray"],
        ["clsp", "tagg", "archive"],
        ["ray", "start", "--haed"],
        ["prefect", "worker", "start", "--pol", "clsp"],
    ],
)
def test_a_command_that_does_not_exist_would_be_found(words):
    with pytest.raises(Exception, match=r"(?i)no such|unknown|exekutor|--pol"):
        parse(words)


@cache
def strings(package: str) -> frozenset[str]:
    """Every string in a package's Python files that could be a variable's name."""
    [root] = importlib.util.find_spec(package).submodule_search_locations
    found: set[str] = set()
    for path in Path(root).rglob("*.py"):
        found.update(re.findall(r"[\"'`]([A-Z][A-Z0-9_]{3,})\b", path.read_text(errors="replace")))
    return frozenset(found)


@pytest.mark.parametrize(("variable", "where"), sorted(set(environment())))
def test_a_variable_that_is_set_is_read_by_somebody(variable, where):
    if variable in OTHERS:
        return
    if variable.startswith("PREFECT_"):
        from prefect.settings import Settings
        from prefect.settings.legacy import _get_valid_setting_names

        assert variable in _get_valid_setting_names(Settings)
    elif variable == "DO_NOT_TRACK":
        assert variable in strings("prefect")
    else:
        [reader] = [who for prefix, who in READERS.items() if variable.startswith(prefix)]
        assert variable in strings(reader), f"{where}: {reader} does not know {variable}"


def test_a_variable_that_nobody_reads_would_be_found():
    assert "AWS_ENDPOINT" not in strings("botocore")
    assert "RAY_AUTH_TOKENS" not in strings("ray")


def test_the_runbook_knows_every_error_and_kind():
    text = RUNBOOK.read_text()
    kinds = {f"`{kind.value}`" for kind in errors.FailureKind}
    raised = {
        f"`{name}`"
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, errors.PipelineError)
        and value not in (errors.PipelineError, errors.RecordingError)
    }
    assert len(raised) >= 10
    assert not {name for name in kinds | raised if name not in text}


def test_commands_within_the_runbooks_sentences_exist():
    known = typer.main.get_command(app).commands
    named = set(re.findall(r"`clsp ([a-z]+)", RUNBOOK.read_text()))
    assert {"verify", "maintain", "deploy"} <= named <= set(known)


def test_the_runbook_knows_what_verify_says(tmp_path):
    """Each advice that `clsp verify` gives begins with words that the runbook has."""
    text = RUNBOOK.read_text()
    for advice in (verify.RESTORE, verify.REPORT, verify.LEFT_OVER):
        assert advice.split(".")[0].split(";")[0] in text, advice
