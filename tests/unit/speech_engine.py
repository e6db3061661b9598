"""Whether the speech engine and the texts that tests of synthesis need are here: CI has them."""

import shutil
from pathlib import Path

import pytest

ENGINE = pytest.mark.skipif(
    shutil.which("espeak-ng") is None or not Path("/usr/share/games/fortunes").is_dir(),
    reason="apt-get install espeak-ng fortunes",
)
