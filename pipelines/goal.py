"""Where the recordings of a lake are to be brought, and what each of them lacks for that.

Knows the keys that a recording was tagged with; nothing of tables, plans or who asks.
"""

from dataclasses import dataclass
from typing import Any

from clsp.checkpoint import Checkpoint
from pipelines.errors import FailureKind
from pipelines.jobs import model_key, parts_of
from pipelines.segments import SegmentPolicy
from pipelines.targets import CHANNELS
from pipelines.taxonomy import Taxonomy

# Why a recording failed that may not fail when it is cut another way: a truncated one had nothing
# to judge in it, or no speech. And what other channels, too, may spare it.
OF_CUT = (FailureKind.NO_SPEECH, FailureKind.TOO_LONG, FailureKind.TRUNCATED)
OF_CHANNELS = (*OF_CUT, FailureKind.SILENT, FailureKind.UNSUPPORTED)


@dataclass(frozen=True)
class Goal:
    """Where recordings are to be brought; None: where each is."""

    taxonomy: Taxonomy | None
    model: str | None
    checkpoint: Checkpoint | None  # what the model is
    precision: str | None
    segments: str | None
    channels: str | None

    def model_key(self, now: str) -> str:
        """What the embeddings of a recording that has this key are to have."""
        if self.checkpoint is None and self.precision is None:
            return now
        name, revision, precision = parts_of(now)
        if self.checkpoint is not None:
            name, revision = self.checkpoint.name, self.checkpoint.revision
        return model_key(name, revision, self.precision or precision)

    def lacking(self, row: dict[str, Any]) -> tuple[str | None, SegmentPolicy]:
        """What this recording needs, if anything; and how it is to be cut. One that was cut by
        rules of an earlier version is to be cut anew: this one does not have them any more.

        Of one that failed only the cut may be why: other failures are left to `clsp retry`."""
        segments, channels = words_of(row["segments_policy"])
        policy = SegmentPolicy.parse(self.segments or segments, self.channels or channels)
        recut, now = policy.key != row["segments_policy"], row["model_key"]
        if row["state"] == "failed":
            spared = OF_CUT if policy.channels == channels else OF_CHANNELS
            return "re-embed" if recut and row["error_kind"] in spared else None, policy
        if recut or self.model_key(now) != now:
            return "re-embed", policy
        other = self.taxonomy and self.taxonomy.key != row["taxonomy_key"]
        return "relabel" if other else None, policy


def words_of(key: str) -> tuple[str, str]:
    """What a user writes for a policy of this key, of this version or an earlier one."""
    text, _, channels = key.partition("+")
    return text.partition("@")[0], channels or CHANNELS
