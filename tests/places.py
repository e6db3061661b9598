"""Where things lie that the tests use.

A module of its own: conftest.py is pytest's, and whoever imported it would run it a second time.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE_ARCHIVE = ROOT / "tests" / "data" / "sample-archive"
REAL_AUDIO = ROOT.parent / "shared" / "audio"  # real people; not ours to carry
