"""Quotes in tables of text: no row is swallowed unsaid, and what was written comes back."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsp.errors import InputError
from pipelines.datasets.items import Skipped
from pipelines.datasets.rows import rows

# Line ends as they come back: Python's text files make \n of the others.
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\r")
words = st.text(letters, max_size=8) | st.text('ab"\t\n, ', max_size=8)


def read(path: Path) -> list[Any]:
    return [row for _, row in rows(path)]


def written(path: Path, table: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(table)
    return path


@pytest.mark.parametrize("last", ['2.wav\tquiet"', '2.wav\t"quiet', "2.wav\tquiet", '2.wav\t"'])
def test_in_tsv_a_quote_that_begins_a_cell_swallows_nothing(last: str, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(f'file\tcaption\n0.wav\t"Loud voice, he said\n1.wav\tcalm\n{last}\n')
    assert [row["caption"] for row in read(path)] == [
        '"Loud voice, he said',
        "calm",
        last.partition("\t")[2],
    ]


def test_common_voice_s_sentences_keep_their_quotes(tmp_path: Path) -> None:
    path = tmp_path / "validated.tsv"
    path.write_text(
        "client_id\tpath\tsentence\n"
        'c1\t1.mp3\t"""No,"" he said."\n'
        'c1\t2.mp3\t"No", he said.\n'
        'c2\t3.mp3\tHe said "No".\n'
        'c2\t4.mp3\t"Plainly no."\n'
    )
    assert [row["sentence"] for row in read(path)] == [
        '"No," he said.',
        '"No", he said.',
        'He said "No".',
        "Plainly no.",
    ]


@pytest.mark.parametrize("short", ["", "1.wav\n"])
def test_tabs_and_line_ends_in_quotes_are_understood(short: str, tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('file\tcaption\n0.wav\t"One\n\nand ""two"""\n' + short + '2.wav\t"a\tb"\n')
    found = [row for row in read(path) if not isinstance(row, Skipped)]
    assert [row["caption"] for row in found] == ['One\n\nand "two"', "a\tb"]
    told = [(where, row.reason) for where, row in rows(path) if isinstance(row, Skipped)]
    cells = "1 cells: expected 2, as in the header"
    assert told == ([(f"{path}:5", cells)] if short else [])


@pytest.mark.parametrize("more", ["", "1.wav,calm\n2.wav,quiet\n", '1.wav,"calm"\n2.wav,quiet\n'])
def test_in_csv_a_quote_that_does_not_end_says_where_it_began(more: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'file,caption\na.wav,"fine\nso far"\n0.wav,"Loud voice, he said\n{more}')
    with pytest.raises(InputError, match=r"t\.csv has a quote that begins in line 4 and runs on"):
        read(path)


def test_in_csv_an_open_quote_that_swallows_very_much_says_where_it_began(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('file,caption\n0.wav,"Loud\n' + "1.wav,calm\n" * 20_000)
    with pytest.raises(InputError, match="begins in line 2 and runs on"):
        read(path)


def test_in_csv_a_line_with_text_after_a_quote_s_end_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('file,caption\n0.wav,"Loud" voice\n1.wav,calm\n')
    (where, skipped), (_, row) = rows(path)
    assert where == f"{path}:2" and "a quote is written twice" in skipped.reason
    assert row == {"file": "1.wav", "caption": "calm"}


def test_parquet_of_nanoseconds_is_text(tmp_path: Path) -> None:
    when = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    pq.write_table(pa.table({"file": ["0.wav"], "when": when}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == [
        {"file": "0.wav", "when": "2023-11-14 22:13:20.123456789"}
    ]


def test_a_header_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('file,"cap"tion\n0.wav,calm\n')
    with pytest.raises(InputError, match="has no header"):
        read(path)


def alike(row: list[str]) -> bool:
    """With tabs and line ends in its cells: its lines may look like rows, and be taken for them."""
    return {"\t", "\n"} <= set("".join(row))


@settings(deadline=None)
@given(
    st.lists(st.lists(words, min_size=3, max_size=3), max_size=6), st.sampled_from(["csv", "tsv"])
)
def test_what_is_written_with_quotes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]], kind: str
) -> None:
    if kind == "tsv":
        cells = [row for row in cells if not alike(row)]
    names = ["file", "caption", "emotion"]
    path = written(tmp_path_factory.mktemp("rows") / f"t.{kind}", [names, *cells])
    expected = [dict(zip(names, row, strict=True)) for row in cells]
    assert read(path) == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.text(letters) | st.text('ab" ,'), min_size=2, max_size=2), max_size=6))
def test_without_quoting_every_line_of_tsv_is_its_row(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    cells = [[c.replace("\t", " ").replace("\n", " ") for c in row] for row in cells]
    path = tmp_path_factory.mktemp("rows") / "t.tsv"
    lines = ["\t".join(row) for row in [["file", "caption"], *cells]]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = list(rows(path))
    assert [where for where, _ in found] == [f"{path}:{n}" for n in range(2, len(cells) + 2)]
    for row, (_, back) in zip(cells, found, strict=True):
        for wrote, got in zip(row, back.values(), strict=True):
            bare = wrote[1:-1].replace('""', '"') if wrote[:1] == wrote[-1:] == '"' else wrote
            assert got in (wrote, bare)


@settings(deadline=None)
@given(st.text('ab"\t,\n', max_size=40), st.sampled_from(["csv", "tsv"]))
def test_no_letter_of_any_text_goes_unsaid(
    tmp_path_factory: pytest.TempPathFactory, body: str, kind: str
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"t.{kind}"
    path.write_text(("x,y\n" if kind == "csv" else "x\ty\n") + body)
    try:
        found = read(path)
    except InputError as error:
        assert kind == "csv" and "begins in line" in str(error)
        return
    if not any(isinstance(row, Skipped) for row in found):
        kept = "".join(cell for row in found for cell in row.values())
        assert [c for c in kept if c in "ab"] == [c for c in body if c in "ab"]
