"""What the files under infra/ describe: Compose services, rendered Kubernetes objects, containers,
commands and environment variables. Reads YAML and text; runs nothing.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from tests.places import ROOT

INFRA = ROOT / "infra"
DOCKERFILE = INFRA / "Dockerfile"
COMPOSE = INFRA / "compose.yaml"
KUBERNETES = INFRA / "kubernetes"
RUNBOOK = INFRA / "runbook.md"
KUSTOMIZATIONS = ("base", "gpu", "ray-job")
TOOLS = ("clsp", "prefect", "ray")  # whose commands are checked

Object = dict[str, Any]


# ---- Compose ------------------------------------------------------------------------------------


def services() -> dict[str, Object]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def env_files(service: Object) -> list[str]:
    given = service.get("env_file", [])
    return [given] if isinstance(given, str) else given


# ---- Kubernetes ---------------------------------------------------------------------------------


def rendered(name: str) -> list[Object]:
    """What `kubectl kustomize` makes of a folder, of the few of its fields that ours use: a test
    holds the two together where there is a kubectl."""
    return _render(KUBERNETES / name)


def _render(folder: Path) -> list[Object]:
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    used = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "patches"}
    assert not set(plan) - used, f"{folder}: this test renders {used} only"
    objects: list[Object] = []
    for resource in plan["resources"]:
        path = folder / resource
        if path.is_dir():
            objects += _render(path)
        else:
            objects += yaml.safe_load_all(path.read_text())
    for patch in plan.get("patches", []):
        found = [o for o in objects if (o["kind"], o["metadata"]["name"])
                 == (patch["target"]["kind"], patch["target"]["name"])]  # fmt: skip
        assert found, f"{folder}: nothing to patch for {patch['target']}"
        for each in found:
            jsonpatch.apply_patch(each, yaml.safe_load(patch["patch"]), in_place=True)
    for each in objects:
        if plan.get("namespace") and each["kind"] != "Namespace":
            each["metadata"]["namespace"] = plan["namespace"]
        for labels in plan.get("labels", []):
            each["metadata"].setdefault("labels", {}).update(labels["pairs"])
        for container in containers(each):
            for image in plan.get("images", []):
                place, _, tag = container["image"].rpartition(":")
                if image["name"] == (place or tag):
                    new = image.get("newName", image["name"]), image["newTag"]
                    container["image"] = ":".join(new)
    return objects


def pod_templates(node: Any) -> Iterator[Object]:
    """Every pod template at any depth: whatever has a `spec` with containers."""
    if isinstance(node, dict):
        if "containers" in (node.get("spec") or {}):
            yield node
        for value in node.values():
            yield from pod_templates(value)
    elif isinstance(node, list):
        for value in node:
            yield from pod_templates(value)


def containers(node: Any) -> Iterator[Object]:
    for template in pod_templates(node):
        yield from template["spec"]["containers"]


# ---- what is run, in which environment ----------------------------------------------------------


def commands() -> list[tuple[str, list[str]]]:
    """Every command of ours, Prefect's or Ray's that the files name, with where it stands."""
    found = []
    for name, service in services().items():
        words = [*service.get("entrypoint", []), *service.get("command", [])]
        found.append((f"compose.yaml, {name}", words))
    for name in KUSTOMIZATIONS:
        for each in rendered(name):
            for container in containers(each):
                words = [*container.get("command", []), *container.get("args", [])]
                found.append((f"{name}, {each['kind']}", words))
            if entrypoint := each.get("spec", {}).get("entrypoint"):
                found.append((f"{name}, {each['kind']}", shlex.split(entrypoint)))
    for line in DOCKERFILE.read_text().splitlines():
        if line.startswith("CMD "):
            found.append(("Dockerfile", yaml.safe_load(line.removeprefix("CMD "))))
    for path in (RUNBOOK, INFRA / "compose-demo.sh", COMPOSE):
        found += [(path.name, words) for words in typed(path.read_text())]
    return [(where, words) for where, words in found if words and words[0] in TOOLS]


def typed(text: str) -> Iterator[list[str]]:
    """Lines that call one of the tools, by itself or through Compose or kubectl."""
    calls = "|".join(TOOLS)
    through = r"(?:docker compose .*?run --rm |kubectl .*? exec \S+ -- )?"
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if match := re.match(rf"{through}((?:{calls}) [^`|;]*)", line.lstrip("# `")):
            yield shlex.split(match[1], comments=True)


def environment() -> Iterator[tuple[str, str]]:
    """Every environment variable that the files set, with where."""
    for name, service in services().items():
        for variable in service.get("environment", {}):
            yield variable, f"compose.yaml, {name}"
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    for line in re.findall(r"^ENV (.*)$", text, flags=re.MULTILINE):
        for variable in re.findall(r"([A-Z_]+)=", line):
            yield variable, "Dockerfile"
    for variable in re.findall(r'"([A-Z_]+)=', (INFRA / "make-secrets.sh").read_text()):
        yield variable, "make-secrets.sh"
    for name in KUSTOMIZATIONS:
        for each in rendered(name):
            if each["kind"] == "ConfigMap":
                for variable in each["data"]:
                    yield variable, f"{name}, ConfigMap {each['metadata']['name']}"
            for container in containers(each):
                for variable in container.get("env", []):
                    yield variable["name"], f"{name}, {container['name']}"
