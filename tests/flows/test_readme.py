"""The README is true: it opens with the two commands, names every command and option, and what it
tells people to type works."""

import re
import shlex
from itertools import pairwise

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import app
from tests.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands


def typed_lines() -> list[str]:
    """`clsp ...` lines of the README's sh blocks, as typed, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("clsp ")]


def test_it_opens_with_demo_and_test():
    head = "\n".join(README.splitlines()[:25])
    assert head.index("make demo") < head.index("make test")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_is_documented(name):
    assert re.search(rf"\bclsp {name}\b", README), f"README does not show `clsp {name}`"
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"`{option}`" in README or f"{option} " in README, f"clsp {name} {option}"


def test_make_targets_named_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z][a-z-]*)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_what_it_tells_people_to_type_works(tmp_path, monkeypatch):
    lines = [line for line in typed_lines() if "# needs" not in line]
    assert len(lines) >= len(COMMANDS)
    monkeypatch.chdir(ROOT)
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        words = [word.replace("my-lake", str(tmp_path / "my-lake")) for word in words]
        lakes = [where for option, where in pairwise(words) if option == "--lake"]
        assert all(where.startswith(str(tmp_path)) for where in lakes), line  # none in the checkout
        if ">" in words:
            words = words[: words.index(">")]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (line, result.output, result.exception)
