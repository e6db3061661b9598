"""compose.yaml, without an engine: its schema, and what must hold between its parts.

`docker compose up` was not tried: there is no engine where this was written.
"""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.described import COMPOSE, INFRA, KUBERNETES, RUNBOOK, env_files, services

TOOLS = Path(sys.executable).parent
SERVICES = services()
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "clsp:cpu"}
SERVERS = {name: service for name, service in SERVICES.items() if "profiles" not in service}


def test_it_follows_the_compose_specification(tmp_path):
    tool = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*tool, COMPOSE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("healthcheck:", "healthchek:"))
    assert subprocess.run([*tool, wrong], capture_output=True).returncode != 0


@pytest.mark.parametrize(
    "path",
    [COMPOSE, *sorted(KUBERNETES.rglob("*.yaml"))],
    ids=lambda path: str(path.relative_to(INFRA)),
)
def test_yaml_has_no_key_twice_and_no_slip(path):
    """Most readers take the last of two equal keys, without a word."""
    rules = "{line-length: disable, document-start: disable, braces: disable, comments: disable}"
    done = subprocess.run(
        [TOOLS / "yamllint", "--strict", "-d", f"{{extends: default, rules: {rules}}}", path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "pid", "network_mode", "devices"} & set(service)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for volume in service["volumes"]:
        assert "docker.sock" not in volume


@pytest.mark.parametrize("name", OURS)
def test_ours_write_to_volumes_only_and_keep_the_images_user(name):
    service = OURS[name]
    assert service["read_only"] is True
    assert "user" not in service and "cap_add" not in service
    targets = {volume.split(":")[-1] for volume in service["volumes"]}
    assert {"/tmp", "/home/clsp"} <= targets
    assert service["build"]["target"] == "cpu"
    assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVERS)
def test_servers_say_whether_they_are_well_and_others_wait_for_it(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    for other in SERVICES.values():
        if name in other.get("depends_on", {}):
            assert other["depends_on"][name] == {"condition": "service_healthy"}


def test_those_who_name_a_service_wait_for_it():
    for name, service in SERVICES.items():
        hosts = re.findall(r"(?:://|--address=)([a-z-]+):\d+", str(service.get("environment", {}))
                           + str(service.get("command", "")))  # fmt: skip
        for host in {*hosts} & set(SERVICES):
            waits = {*service["depends_on"]}
            waits |= {other for each in waits for other in SERVICES[each].get("depends_on", {})}
            assert host in waits, f"{name} talks to {host}"


def test_only_drivers_hold_the_lake():
    holders = {name for name, service in SERVICES.items() if "lake:/lake" in service["volumes"]}
    assert holders == {"prefect-worker", "clsp"}


def test_volumes_are_named_and_files_exist():
    text = COMPOSE.read_text()
    named = set(re.findall(r"^  (\w+):$", text[text.index("\nvolumes:") :], flags=re.MULTILINE))
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (INFRA / source).exists(), volume
            elif not source.startswith("/"):
                assert source in named, volume


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> Path:
    """What make-secrets.sh makes, elsewhere."""
    folder = tmp_path_factory.mktemp("infra")
    script = folder / "make-secrets.sh"
    script.write_text((INFRA / "make-secrets.sh").read_text())
    subprocess.run(["bash", script], check=True, capture_output=True)
    return folder / "secrets"


def held(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_every_env_file_is_made_with_secrets_that_only_their_owner_reads(secrets):
    made = {path.name for path in secrets.iterdir()}
    asked = {file for service in SERVICES.values() for file in env_files(service)}
    assert {f"secrets/{name}" for name in made} == asked
    values = [value for name in made for value in held(secrets / name).values()]
    assert all(len(value) >= 48 for value in values)
    for path in secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_both_ends_get_the_same_secret_and_a_second_run_keeps_it(secrets):
    postgres, server = held(secrets / "postgres.env"), held(secrets / "prefect-server.env")
    client = held(secrets / "prefect.env")
    assert postgres["POSTGRES_PASSWORD"] == server["PREFECT_SERVER_DATABASE_PASSWORD"]
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == client["PREFECT_API_AUTH_STRING"]
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run(["bash", secrets.parent / "make-secrets.sh"], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


def test_no_secret_stands_in_a_file(secrets):
    names = {name for path in secrets.iterdir() for name in held(path)}
    assert "/secrets/" in (INFRA / ".gitignore").read_text().splitlines()
    for path in (COMPOSE, RUNBOOK, *KUBERNETES.rglob("*.yaml"), INFRA / "Dockerfile"):
        for name in names:
            given = re.findall(rf"\b{name}[=:] *[\"']?(\w+)", path.read_text())
            assert not given, f"{path.name} gives {name} a value"


def test_the_demo_calls_what_there_is():
    text = (INFRA / "compose-demo.sh").read_text()
    called = re.findall(r"run --rm (\S+)", text)
    assert called and set(called) <= set(SERVICES)
    assert "bash make-secrets.sh" in text
    assert os.access(INFRA / "compose-demo.sh", os.X_OK)
