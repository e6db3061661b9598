"""Options that several commands share: one name, one meaning, one help text."""

from typing import Annotated

import typer

LakeOption = Annotated[
    str, typer.Option("--lake", help="Folder of the tables.", envvar="CLSP_LAKE")
]
ModelOption = Annotated[
    str, typer.Option("--model", help="`tiny`, `yfyeung/CLSP`, or a folder.", envvar="CLSP_MODEL")
]
LakeModelOption = Annotated[
    str | None,
    typer.Option("--model", help="The lake's model, where it is a folder; else found by itself."),
]
SegmentsOption = Annotated[
    str,
    typer.Option(
        "--segments",
        help="`whole`, `windows` (30 s), `windows:LENGTH` or `windows:LENGTH/HOP` in s.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of all that is drawn.", min=0)]
