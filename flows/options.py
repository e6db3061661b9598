"""Options that several commands share: one name, one meaning, one help text."""

from enum import StrEnum
from typing import Annotated

import typer

MOST = 1_000_000_000  # rows: more is a slip, and too long a number for DuckDB


class ExecutorName(StrEnum):
    local = "local"
    process = "process"
    ray = "ray"


def not_empty(param: typer.CallbackParam, value: str | None) -> str | None:
    """Raises SettingsError where it is empty: the current folder, or a default, would be taken."""
    if value is not None and not value.strip():
        from pipelines.settings import check_given

        check_given(str(param.name), value)
    return value


LakeOption = Annotated[
    str,
    typer.Option("--lake", help="Folder of the tables.", envvar="CLSP_LAKE", callback=not_empty),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="`tiny`, `yfyeung/CLSP`, or a folder.",
        envvar="CLSP_MODEL",
        callback=not_empty,
    ),
]
WantedModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="`tiny`, `yfyeung/CLSP`, or a folder. Default: what the lake declares, else `tiny`.",
        envvar="CLSP_MODEL",
        callback=not_empty,
    ),
]
WantedTaxonomyOption = Annotated[
    str | None,
    typer.Option(
        "--taxonomy",
        help="YAML file of attributes and styles. Default: what the lake declares, else the "
        "built-in one.",
        callback=not_empty,
    ),
]
LakeModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The lake's model, where it is a folder; else found by itself.",
        envvar="CLSP_MODEL",
        callback=not_empty,
    ),
]
SEGMENTS_HELP = (
    "`whole`, `windows` (30 s), `windows:LENGTH` or `windows:LENGTH/HOP` in s, or where somebody "
    "speaks: `vad` (1 to 30 s), `vad:LONGEST`."
)
SegmentsOption = Annotated[str, typer.Option("--segments", help=SEGMENTS_HELP, callback=not_empty)]
WantedSegmentsOption = Annotated[
    str | None,
    typer.Option(
        "--segments",
        help=f"{SEGMENTS_HELP} Default: what the lake declares, else `windows`.",
        callback=not_empty,
    ),
]


class ChannelPolicy(StrEnum):
    MIX = "mix"
    SPLIT = "split"
    LEFT = "left"
    RIGHT = "right"


WantedChannelsOption = Annotated[
    ChannelPolicy | None,
    typer.Option(
        "--channels",
        help="Averaged, each by itself, or the first or second alone. Default: what the lake "
        "declares, else `mix`.",
    ),
]


class Precision(StrEnum):
    """`clsp.checkpoint.PRECISIONS`, as an option wants it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


PRECISION_HELP = (
    "What the speech encoder computes in: float32 gives the published answers; bfloat16 and int8 "
    "(on a CPU only) are faster. It is part of the model key: rows of different precision are "
    "never mixed."
)
PrecisionOption = Annotated[Precision, typer.Option("--precision", help=PRECISION_HELP)]
WantedPrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision", help=f"{PRECISION_HELP} Default: what the lake declares, else float32."
    ),
]
LakePrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="Of the embeddings that are searched, where the lake has several; else that of most. "
        "The text is always embedded in float32.",
    ),
]
ExecutorOption = Annotated[
    ExecutorName,
    typer.Option(
        "--executor",
        help="In this process, in child processes (what kills one costs one file), on Ray actors.",
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="A Ray cluster's address; else Ray starts on this machine.",
        envvar="RAY_ADDRESS",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Child processes (else 1), or Ray actors (else one per GPU, or one per 4 CPUs).",
    ),
]
WorkerCpusOption = Annotated[
    float | None,
    typer.Option("--worker-cpus", help="CPUs that each Ray actor takes; else its share, or 4."),
]
WorkerGpusOption = Annotated[
    float | None,
    typer.Option(
        "--worker-gpus", help="GPUs that each Ray actor takes, at most 1; 0.5: two share one."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit 1 if any file failed in this run (`clsp failures` has all)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of all that is drawn.", min=0)]
