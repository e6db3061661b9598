"""Labelled speech to measure a model on, or to train it with: readers of published layouts.

A reader knows where a data set keeps its files, labels and captions; it opens no audio. What
questions are put to a data set is in presets.py; how answers are measured is elsewhere.
"""

from pipelines.datasets.catalogue import KINDS, read
from pipelines.datasets.items import Dataset, Item, Skipped

__all__ = ["KINDS", "Dataset", "Item", "Skipped", "read"]
