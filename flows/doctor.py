"""What `clsp doctor` looks at: versions, devices, the model, the lake. Reports, changes nothing."""

import importlib.metadata
import os
import platform
from typing import Any

from clsp.errors import ClspError

PACKAGES = (
    "clsp-pipelines", "torch", "torchaudio", "transformers", "ray", "prefect", "duckdb",
    "deltalake", "pyarrow", "soundfile", "av",
)  # fmt: skip


def examine(model: str, lake: str | None) -> list[dict[str, Any]]:
    """One row per thing looked at: what, ok, found."""
    rows = [_row("python", True, platform.python_version())]
    for package in PACKAGES:
        try:
            rows.append(_row(package, True, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            rows.append(_row(package, False, "not installed: run `make setup`"))
    rows += _devices()
    rows.append(_attempt(f"model {model}", lambda: _model(model)))
    if lake:
        rows.append(_attempt(f"lake {lake}", lambda: _lake(lake)))
    return rows


def _row(what: str, ok: bool, found: str) -> dict[str, Any]:
    return {"what": what, "ok": ok, "found": found}


def _attempt(what: str, look: Any) -> dict[str, Any]:
    try:
        return _row(what, True, look())
    except ClspError as error:
        return _row(what, False, str(error))


def _devices() -> list[dict[str, Any]]:
    import torch

    from clsp.packed import no_int8
    from pipelines.models import cores

    found = [f"{os.cpu_count()} CPUs, of which {cores()} may be used"]
    gpus = range(torch.cuda.device_count())
    found += [torch.cuda.get_device_name(i) for i in gpus]
    why = no_int8(torch.device("cpu"))
    int8 = _row("int8 on the CPU", True, f"not to be had: {why}" if why else "exact")
    return [_row("devices", True, ", ".join(found)), int8, *(_kernels(f"cuda:{i}") for i in gpus)]


def _kernels(device: str) -> dict[str, Any]:
    import torch

    from clsp.packed import no_kernels

    why = no_kernels(torch.device(device))
    return _row(f"kernels for {device}", not why, why or "ready, for --precision bfloat16")


def _model(name: str) -> str:
    from pipelines.models import load

    model = load(name)
    model.embed_text(["A speaker."])  # the tokenizer is part of the model
    parameters = sum(p.numel() for p in model.parameters())
    return f"{parameters / 1e6:.1f} M parameters, revision {model.checkpoint.revision[:16]}"


def _lake(root: str) -> str:
    from pipelines.lake import Lake
    from pipelines.query import connect

    lake = Lake(root)
    with connect(lake, of=("recordings", "speech")) as db:
        recordings, segments = db.execute(
            "SELECT (SELECT count(*) FROM recordings), (SELECT count(*) FROM speech)"
        ).fetchone() or (0, 0)
    return f"{recordings} recordings, {segments} segments, {lake.size_bytes() / 1e6:.1f} MB"
