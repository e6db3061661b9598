"""Errors of single archives, which come when the others are done."""

import pytest

from pipelines.errors import ArchiveNotFound, ArchiveUnreachable, LakeError
from pipelines.kept import Kept


def test_what_trying_again_does_not_cure_is_told_first():
    kept = Kept()
    kept.tell()
    for error in (ArchiveUnreachable("a"), ArchiveNotFound("b"), ArchiveNotFound("b")):
        with kept.until_later():
            raise error
    with pytest.raises(ArchiveNotFound, match=r"^a\nb$"):
        kept.tell()
    with pytest.raises(LakeError), kept.until_later():
        raise LakeError("of all archives")
