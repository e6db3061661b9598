"""Is training still training? Tells a collapsed run from a slow one, in numbers and in words.

Knows losses and cosines of steps; nothing of models or data.
"""

import math
from dataclasses import dataclass

from clsp.errors import TrainingCollapsed

AT_CHANCE = 0.02  # a loss this close to chance, relatively, is at chance
CURE = (
    "Start from a trained model rather than from scratch, lower learning_rate (or lengthen "
    "warmup_steps), take larger batches, freeze the encoders first, and look whether many clips "
    "share the same caption"
)


@dataclass
class Watch:
    """Counts steps in a row that look collapsed. `alike` and `stuck` are what a resumed run must
    know."""

    steps: int  # so many in a row are a collapse
    cosine: float
    alike: int = 0
    stuck: int = 0

    def look(self, step: int, loss: float, chance: float, audio: float, text: float) -> None:
        """One step: its loss, the loss at chance, and the mean cosines between different clips and
        between different texts of the batch.

        Raises TrainingCollapsed at once for a loss that is no number, and after `steps` steps in a
        row in which everything is alike or the loss stays at chance.
        """
        seen = (
            f"at step {step}: loss {loss:.4f} (chance {chance:.4f}), mean cosine between different "
            f"clips {audio:.4f}, between different texts {text:.4f}"
        )
        if not math.isfinite(loss):
            raise TrainingCollapsed(
                f"the loss is no number {seen}. Lower learning_rate or clip_norm, and use "
                "precision: fp32; the last checkpoint is from before"
            )
        self.alike = self.alike + 1 if max(audio, text) >= self.cosine else 0
        self.stuck = self.stuck + 1 if abs(loss - chance) < AT_CHANCE * chance else 0
        if self.alike >= self.steps:
            side = "clips" if audio >= text else "texts"
            raise TrainingCollapsed(
                f"all {side} have had nearly the same embedding for {self.alike} steps, {seen}. "
                f"{CURE}"
            )
        if self.stuck >= self.steps:
            raise TrainingCollapsed(
                f"the loss has been what guessing gives for {self.stuck} steps, {seen}. {CURE}"
            )
