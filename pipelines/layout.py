"""How the Parquet files of each table are laid out: packing, dictionaries, size of row groups.

Measured on 1,000,000 segments by the embedded model. Knows nothing of when files are written.
"""

import pyarrow as pa
from deltalake import ColumnProperties, WriterProperties

from pipelines import schemas

# Rows that DuckDB reads or leaves out as one, in the files that maintenance makes: they stay in the
# order of their chunks, so a commit that asks for one chunk's rows reads this many, however large
# the file is. The copy of `speech` has DuckDB's own size, what it hands to one thread.
GROUP_ROWS, COPY_GROUP_ROWS = 32_768, 122_880

# zstd takes a tenth off embeddings; undoing it is four fifths of the time to read them.
_AS_IT_IS = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
# Hardly two scores or segments are the same: a dictionary of scores takes a fifth more space, and
# as much more time to write; one of segments (a megabyte) is read for every row that is looked up.
_NO_DICTIONARY = ColumnProperties(dictionary_enabled=False)

_ZSTD: dict = {"compression": "ZSTD", "compression_level": 3}
# Embeddings are read whole by every search. The copy of `speech` is there to be read fast: a third
# larger than by zstd, read in two thirds of the time.
_PACKED = {"embeddings": {"compression": "UNCOMPRESSED"}, schemas.READY: {"compression": "LZ4_RAW"}}


def writer_properties(table: str, schema: pa.Schema, maintained: bool = False) -> WriterProperties:
    """For rows of this schema; `maintained`: for large files, not as one commit has them."""
    ids = ("segment_id", schemas.PREFIX)
    differ = (f.name for f in schema if pa.types.is_floating(f.type) or f.name in ids)
    columns = dict.fromkeys(differ, _NO_DICTIONARY)
    if table == "embeddings":
        columns["embedding"] = _AS_IT_IS
    large = GROUP_ROWS if maintained else None
    rows = COPY_GROUP_ROWS if table == schemas.READY else large
    return WriterProperties(
        **_PACKED.get(table, _ZSTD), column_properties=columns, max_row_group_size=rows
    )
