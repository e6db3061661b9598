"""Commands as a person or a script would call them."""

import json

from typer.testing import CliRunner

from flows.cli import app


def clsp(*args: object) -> str:
    """Standard output of a command that ends well."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def clsp_json(*args: object) -> dict | list:
    return json.loads(clsp(*args, "--json"))
