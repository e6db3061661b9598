"""Where the recordings of a lake are to be brought, and what each of them lacks for that.

Knows the keys that a recording was tagged with; nothing of tables, plans or who asks.
"""

from dataclasses import dataclass
from typing import Any

from clsp.checkpoint import Checkpoint
from pipelines.jobs import model_key, parts_of
from pipelines.segments import SegmentPolicy
from pipelines.targets import CHANNELS
from pipelines.taxonomy import Taxonomy


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
        rules of an earlier version is to be cut anew: this one does not have them any more."""
        segments, channels = words_of(row["segments_policy"])
        policy = SegmentPolicy.parse(self.segments or segments, self.channels or channels)
        now = row["model_key"]
        if self.model_key(now) != now or policy.key != row["segments_policy"]:
            return "re-embed", policy
        other = self.taxonomy and self.taxonomy.key != row["taxonomy_key"]
        return "relabel" if other else None, policy


def words_of(key: str) -> tuple[str, str]:
    """What a user writes for a policy of this key, of this version or an earlier one."""
    text, _, channels = key.partition("+")
    return text.partition("@")[0], channels or CHANNELS
