"""Arrow schemas of every table of a lake, with units.

Every data row names the chunk that wrote it; it exists for readers once that chunk stands in
`runs`, which is written last. Knows nothing of how tables are stored or queried.
"""

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")

# One row per listed file per time it was processed; the latest committed one counts.
RECORDINGS = pa.schema(
    [
        pa.field("archive", pa.string(), nullable=False),  # absolute folder or URL
        pa.field("uri", pa.string(), nullable=False),  # path within the archive
        pa.field("version", pa.string()),  # size and mtime, or etag: unchanged means skip
        pa.field("size_bytes", pa.int64()),
        pa.field("metadata", pa.string()),  # JSON object: what a list or tar says of the file
        pa.field("content_hash", pa.string()),  # blake2b-128 of the bytes; null if unreadable
        pa.field("container", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("sample_rate", pa.int32()),  # Hz, as recorded
        pa.field("channels", pa.int32()),
        pa.field("duration_s", pa.float64()),  # decoded, not what a header claims
        pa.field("state", pa.string(), nullable=False),  # tagged | failed | gone
        pa.field("error_kind", pa.string()),  # of a tagged one: a warning, `truncated`
        pa.field("error_message", pa.string()),
        pa.field("limits", pa.string()),  # that it was read under; null in rows from before them
        pa.field("attempts", pa.int32()),  # failures in a row of this version; null in older rows
        pa.field("segments_policy", pa.string(), nullable=False),
        pa.field("model_key", pa.string(), nullable=False),
        pa.field("taxonomy_key", pa.string(), nullable=False),
        pa.field("processed_at", TIME, nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("chunk_id", pa.string(), nullable=False),
    ]
)

# One row per segment of a content: measures that need no model.
SEGMENTS = pa.schema(
    [
        pa.field("segment_id", pa.string(), nullable=False),  # hash of content and span
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("segments_policy", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),  # exact to the recording's own sample
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("channel", pa.int32()),  # from 0; null is the mix of all
        pa.field("rms_dbfs", pa.float32()),  # dB relative to full scale; -120 is digital silence
        pa.field("peak_dbfs", pa.float32()),
        pa.field("clipped_share", pa.float32()),  # of samples at or over full scale
        pa.field("silent_share", pa.float32()),  # of 25 ms frames under -60 dBFS
        pa.field("chunk_id", pa.string(), nullable=False),
    ]
)

# One row per segment and model. Half floats as bytes: half the size, fastest to read.
EMBEDDINGS = pa.schema(
    [
        pa.field("segment_id", pa.string(), nullable=False),
        pa.field("model_key", pa.string(), nullable=False),
        pa.field("embedding", pa.binary(), nullable=False),  # little-endian float16, L2-normalised
        pa.field("chunk_id", pa.string(), nullable=False),
    ]
)

# One row per segment, model and taxonomy, plus the taxonomy's own columns: for each attribute
# NAME (string; null where NAME_margin is under the taxonomy's min_margin), NAME_p (0 to 1),
# NAME_margin (cosine, 0 to 2), NAME_best (string, what NAME would be without min_margin; rows from
# before there was one lack it: there it is NAME); for each style style_NAME (cosine).
BEST_SUFFIX = "_best"
LABELS = pa.schema(
    [
        pa.field("segment_id", pa.string(), nullable=False),
        pa.field("model_key", pa.string(), nullable=False),
        pa.field("taxonomy_key", pa.string(), nullable=False),
        pa.field("chunk_id", pa.string(), nullable=False),
    ]
)

# One row per evaluation, question and metric (`recall`: per class too).
EVALUATIONS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("evaluated_at", TIME, nullable=False),
        pa.field("task", pa.string(), nullable=False),  # zero-shot | retrieval | style
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),  # or direction, or style
        pa.field("metric", pa.string(), nullable=False),
        pa.field("class", pa.string()),  # of a recall
        pa.field("value", pa.float64()),  # null where undefined; shares from 0 to 1, not percent
        pa.field("low", pa.float64()),  # of the 95% bootstrap interval; null where there is none
        pa.field("high", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),  # clips, texts or pairs that were judged
        pa.field("n_failed", pa.int64(), nullable=False),  # those that could not be read
        pa.field("published", pa.float64()),  # the authors' figure for their model, where known
        pa.field("model_key", pa.string(), nullable=False),
        pa.field("prompts_json", pa.string()),  # class -> prompts
        pa.field("options_json", pa.string()),  # the settings of the evaluation
        pa.field("chunk_id", pa.string(), nullable=False),
    ]
)

# What the lake's recordings shall be tagged with; the latest row counts. Null: not declared. No
# ledger row gates it: a declaration is one row.
TARGETS = pa.schema(
    [
        pa.field("declared_at", TIME, nullable=False),
        pa.field("taxonomy_key", pa.string()),
        pa.field("taxonomy_yaml", pa.string()),  # the file's text
        pa.field("model", pa.string()),  # `tiny`, an id on the hub, or a folder
        pa.field("segments", pa.string()),
        pa.field("channels", pa.string()),
        pa.field("precision", pa.string()),  # null in older rows too
    ]
)

# One row per time that a watch was set or removed; the one with the greatest revision counts. No
# chunk writes it, and it needs no ledger row.
WATCHES = pa.schema(
    [
        pa.field("watch", pa.string(), nullable=False),  # its name
        pa.field("revision", pa.int64(), nullable=False),  # from 1, of this lake's watches together
        pa.field("state", pa.string(), nullable=False),  # set | removed
        pa.field("sql", pa.string(), nullable=False),  # answers with one number
        pa.field("above", pa.float64()),  # fires over this, or
        pa.field("below", pa.float64()),  # under this; the other is null
        pa.field("action", pa.string(), nullable=False),  # alert | reprocess
        pa.field("changed_at", TIME, nullable=False),
    ]
)

# One row per watch and check.
WATCH_CHECKS = pa.schema(
    [
        pa.field("watch", pa.string(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),  # of the watch, as it was then
        pa.field("checked_at", TIME, nullable=False),
        pa.field("seq", pa.int64(), nullable=False),  # of the newest commit that was looked at
        pa.field("value", pa.float64()),  # null where the query has no answer, or failed
        pa.field("fires", pa.bool_()),  # null where the query failed
        pa.field("announced", pa.bool_(), nullable=False),  # an event was sent
        pa.field("error", pa.string()),  # why the query failed
    ]
)

# The ledger: one row per committed chunk or evaluation, and one of kind `run` when a run ends
# (`stopped`: early).
RUNS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("chunk_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # chunk | run | stopped | evaluation
        pa.field("seq", pa.int64(), nullable=False),  # order of commits in this lake
        pa.field("started_at", TIME, nullable=False),
        pa.field("committed_at", TIME, nullable=False),
        pa.field("archive", pa.string(), nullable=False),
        pa.field("segments_policy", pa.string(), nullable=False),
        pa.field("model_key", pa.string(), nullable=False),
        pa.field("taxonomy_key", pa.string(), nullable=False),
        pa.field("files", pa.int64(), nullable=False),  # in: listed for a run, given for a chunk
        pa.field("tagged", pa.int64(), nullable=False),
        pa.field("failed", pa.int64(), nullable=False),
        pa.field("unchanged", pa.int64(), nullable=False),
        pa.field("pending", pa.int64()),  # left for a later run; null in older rows
        pa.field("gone", pa.int64()),  # newly so; null in older rows
        pa.field("planned_files", pa.int64()),  # of all the run's chunks; null in older rows
        pa.field("options_json", pa.string()),  # what `clsp retry` needs; null in older rows
        pa.field("segments", pa.int64(), nullable=False),
        pa.field("audio_s", pa.float64(), nullable=False),
    ]
)

TABLES = {
    "recordings": RECORDINGS,
    "segments": SEGMENTS,
    "embeddings": EMBEDDINGS,
    "labels": LABELS,
    "evaluations": EVALUATIONS,
    "targets": TARGETS,
    "watches": WATCHES,
    "watch_checks": WATCH_CHECKS,
    "runs": RUNS,
}

# The copy of `speech`: its rows after AS_OF, the newest chunk's `seq` when it was made (Delta keeps
# statistics of the first columns), and PREFIX, the first digits of `segment_id` as a number, by
# which a search finds its rows. No data of its own: see pipelines/ready.py.
READY, AS_OF, PREFIX = "speech", "as_of_seq", "segment_prefix"
# The folder of plain files of embeddings: no data of its own either, see pipelines/vectors.py.
VECTORS = "vectors"

# The `speech` view: these, around the taxonomy's own columns.
SPEECH_COLUMNS = {
    "archive": "r.archive",
    "uri": "r.uri",
    "start_s": "s.start_s",
    "end_s": "s.end_s",
    "duration_s": "s.end_s - s.start_s",
    "channel": "s.channel",
    "rms_dbfs": "s.rms_dbfs",
    "peak_dbfs": "s.peak_dbfs",
    "clipped_share": "s.clipped_share",
    "silent_share": "s.silent_share",
    "codec": "r.codec",
    "sample_rate": "r.sample_rate",
    "channels": "r.channels",
    "recording_duration_s": "r.duration_s",
    "metadata": "r.metadata",
    "content_hash": "r.content_hash",
    "segment_id": "s.segment_id",
    "model_key": "r.model_key",
    "taxonomy_key": "l.taxonomy_key",
    "processed_at": "r.processed_at",
}


def with_taxonomy(columns: list[tuple[str, pa.DataType]]) -> pa.Schema:
    """The labels schema with a taxonomy's columns."""
    return pa.schema([*LABELS, *(pa.field(name, type_) for name, type_ in columns)])
