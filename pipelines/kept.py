"""Errors of single archives, kept until the others of their lake are done. Knows nothing of what is
done with them."""

from collections.abc import Iterator
from contextlib import contextmanager

from clsp.errors import ClspError, InputError, ModelNotFound, TerminalError
from pipelines.errors import (
    ArchiveForbidden,
    ArchiveNotFound,
    ArchiveUnreachable,
    SettingsError,
    TaxonomyError,
)

# What may be wrong with one archive, and nothing with the others of its lake.
OF_ONE_ARCHIVE = (
    ArchiveForbidden, ArchiveNotFound, ArchiveUnreachable, InputError, ModelNotFound, SettingsError,
    TaxonomyError,
)  # fmt: skip


class Kept:
    """Errors of single archives, until the others of the lake are done."""

    def __init__(self) -> None:
        self.errors: list[ClspError] = []

    @contextmanager
    def until_later(self) -> Iterator[None]:
        try:
            yield
        except OF_ONE_ARCHIVE as error:
            self.errors.append(error)

    def tell(self) -> None:
        """Raises what was kept, several as one: of a kind that trying again does not cure, where
        any is."""
        if not self.errors:
            return
        first = next((e for e in self.errors if isinstance(e, TerminalError)), self.errors[0])
        texts = dict.fromkeys(map(str, self.errors))
        raise first if len(texts) == 1 else type(first)("\n".join(texts)) from first
