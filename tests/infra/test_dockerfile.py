"""The Dockerfile, without an engine: linted, and its own install commands run in bare venvs here.

What `docker build` itself makes of it was not tried: there is no engine where this was written.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.infra.described import DOCKERFILE, INFRA
from tests.places import ROOT

TEXT = DOCKERFILE.read_text()
UV = shutil.which("uv") or str(ROOT / ".venv" / "bin" / "uv")
ENVIRONMENT = os.environ | {"UV_PYTHON": sys.executable}
HADOLINT = Path(sys.executable).with_name("hadolint")


def pins(text: str) -> dict[str, str]:
    """Versions by name, of a lock or a list of pins, as they are for this Python."""
    lines = re.findall(r"^([a-z0-9][^\s=]*==[^\\\n]*)", text, flags=re.MULTILINE)
    wanted = [each for each in map(Requirement, lines) if not each.marker or each.marker.evaluate()]
    return {each.name: str(each.specifier).removeprefix("==") for each in wanted}


LOCK = pins((ROOT / "requirements.lock").read_text())


def stages() -> dict[str, str]:
    """The text of each stage, by its name."""
    parts = re.split(r"^FROM .* AS (\w[\w-]*)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def scripts(stage: str) -> list[str]:
    """The RUN commands of a stage."""
    text = re.sub(r"\\\n\s*", " ", stages()[stage])
    return re.findall(r"^RUN (.*)$", text, flags=re.MULTILINE)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """One RUN command, with the image's paths put below `folder`, by the uv of this machine."""
    for path in ("/opt", "/build", "/wheels"):
        script = re.sub(rf"(?<![\w.]){path}\b", f"{folder}{path}", script)
    script = re.sub(r"\buv (?=pip|venv|build)", f"{UV} ", script)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder / "build", env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, (script, done.stderr)
    return done


@pytest.fixture(scope="module")
def builder(tmp_path_factory) -> Path:
    """The stage `builder`: what runs is named, and a venv waits for it."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "build").mkdir()
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / "build")
    for script in scripts("builder"):
        run(script, folder)
    return folder


def test_hadolint_finds_nothing():
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_would_find_something(tmp_path):
    """A control: the same binary, the same rules."""
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN apt-get install gcc\n")
    done = subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 1 and "DL3006" in done.stdout


def test_it_has_the_targets_and_ends_with_the_smaller():
    assert list(stages())[-2:] == ["cuda", "cpu"]
    for target in ("cuda", "cpu"):
        assert f"--target {target}" in TEXT
        assert f"COPY --from=packages-{target} " in stages()[target]


def test_every_image_comes_at_an_exact_version():
    images = re.findall(r"^FROM (\S+) AS", TEXT, flags=re.MULTILINE)
    theirs = [image for image in images if image not in stages()]
    assert len(theirs) == 2
    for image in theirs:
        assert re.search(r":\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$", image), image


def test_its_uv_is_the_one_that_the_lock_was_made_with():
    [version] = re.findall(r"^UV_VERSION=(\S+)", (INFRA / "setup.sh").read_text(), re.MULTILINE)
    assert f"ghcr.io/astral-sh/uv:{version} " in TEXT


def test_its_python_is_the_one_that_runs_these_tests_in_ci():
    [minor] = re.findall(r"^FROM python:(\d+\.\d+)\.", TEXT, flags=re.MULTILINE)
    assert minor == "3.11"  # the lock is compiled for it: see `make lock`
    assert f"--python-version {minor}" in (ROOT / "Makefile").read_text()


def test_it_runs_as_a_user_by_number_and_has_a_compiler_for_a_gpu_alone():
    users = {stage: re.findall(r"^USER (.*)$", stages()[stage], re.MULTILINE) for stage in stages()}
    assert users["runtime"] == ["10001:10001"] and users["cpu"] == []
    assert users["cuda"] == ["0:0", "10001:10001"]
    for stage in ("runtime", "cpu"):
        assert "apt-get" not in stages()[stage]
    # Triton's: its headers are the Python image's own.
    assert "install --yes --no-install-recommends gcc libc6-dev " in stages()["cuda"]


def test_only_what_the_image_needs_is_sent_to_the_engine():
    kept = re.findall(r"^!(\S+)$", (INFRA / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, flags=re.MULTILINE)
        for word in line.split()
    }
    assert set(kept) == copied
    assert all((ROOT / name).exists() for name in kept)


def test_what_runs_is_what_the_lock_says_without_the_tools(builder):
    found = pins((builder / "build" / "run.txt").read_text())
    assert {"torch", "ray", "prefect", "deltalake", "duckdb", "s3fs", "gcsfs"} <= set(found)
    assert not {"pytest", "moto", "ruff", "mypy", "hypothesis", "scikit-learn"} & set(found)
    assert {name: LOCK.get(name) for name in found} == found


def test_the_cuda_packages_install_with_the_hashes_of_the_lock(builder):
    [script] = scripts("packages-cuda")
    done = run(script.replace("uv pip install", "uv pip install --dry-run"), builder)
    assert f"+ torch=={LOCK['torch']}" in done.stderr
    assert "+ nvidia-cudnn-cu13" in done.stderr


def test_the_cpu_packages_leave_out_cuda_and_nothing_else(builder):
    [script] = scripts("packages-cpu")
    *ours, theirs = script.split(" && ")
    assert "--torch-backend cpu" in theirs and "--require-hashes" in ours[-1]
    done = run(" && ".join(ours).replace("uv pip install", "uv pip install --dry-run"), builder)
    everything = set(pins((builder / "build" / "run.txt").read_text()))
    others = set(re.findall(r"^ \+ ([\w.-]+)==", done.stderr, flags=re.MULTILINE))
    torch = pins((builder / "build" / "torch.txt").read_text())
    assert torch == {name: LOCK[name] for name in ("torch", "torchaudio")}
    left_out = everything - others - set(torch)
    assert left_out and all(re.match("nvidia-|cuda-|triton$", name) for name in left_out)


def test_a_hash_that_is_not_the_locks_is_refused(builder):
    """The hashes come as constraints: a control that they are looked at."""
    folder = builder / "wrong"
    folder.mkdir()
    text = (ROOT / "requirements.lock").read_text()
    [entry] = re.findall(r"^wrapt==.*?(?=^\w)", text, flags=re.MULTILINE | re.DOTALL)
    (folder / "lock").write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", entry))
    (folder / "run.txt").write_text(f"wrapt=={LOCK['wrapt']}\n")
    done = subprocess.run(
        [UV, "pip", "install", "--no-deps", "--require-hashes", "--constraints", "lock",
         "--requirements", "run.txt", "--target", "here"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0 and "Hash mismatch" in done.stderr


def test_our_wheel_answers_help_in_a_bare_venv(builder):
    """Built and installed by the stage's own commands; beside it only what `--help` imports."""
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, builder / "build")
    for name in ("clsp", "pipelines", "flows"):
        shutil.copytree(ROOT / name, builder / "build" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    for script in scripts("wheel"):
        run(script, builder)
    venv = builder / "opt" / "clsp"
    shutil.copytree(builder / "opt" / "code", venv, dirs_exist_ok=True)  # as the image's COPY does
    needed = builder / "build" / "needed.txt"
    needed.write_text("".join(f"{name}=={LOCK[name]}\n" for name in ("typer", "rich", "wrapt")))
    constraints = ["--require-hashes", "--constraints", str(ROOT / "requirements.lock")]
    pinned = subprocess.run(
        [UV, "pip", "compile", str(needed), *constraints[1:], "--no-annotate", "--no-header"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    needed.write_text(pinned.stdout)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), "--no-deps",
         *constraints, "--requirements", str(needed)],
        check=True,
    )  # fmt: skip
    for words in (["--help"], ["tag", "--help"]):
        done = subprocess.run([venv / "bin" / "clsp", *words], capture_output=True, text=True)
        assert done.returncode == 0 and "Usage: clsp" in done.stdout, done.stderr
    assert list(venv.glob("lib/*/site-packages/clsp/assets/tiny/model.safetensors"))
    assert not list(venv.glob("lib/*/site-packages/tests"))
