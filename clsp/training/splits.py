"""Which clips are measured on: by the name of their split, or by a hash of who or what they are.

Hashes, not draws: more data later moves nobody to the other side, and an order is not known. Knows
names; nothing of files, captions or audio.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from clsp.errors import InputError

DEV = "dev"
ALSO_DEV = ("valid", "validation", "val", "development")  # what others call it
LARGEST = 1 / 3  # of the clips: what is held out at most to have two


def check_dev(named: set[str], dev_split: str, where: str) -> None:
    """Raises InputError where dev_split is as nobody chose it, and a data set with the splits
    `named` has it under another name. `where` says which data set."""
    other = sorted(split for split in named if split.lower() in ALSO_DEV)
    if dev_split == DEV and DEV not in named and other:
        raise InputError(
            f"{where}: no split {DEV!r} among {sorted(named)}; expected one to measure on. Say "
            f"dev_split: {other[0]}; or any name that is not among them, to measure on nothing"
        )


def held_out(clips: Iterable[str], share: float) -> set[str]:
    """Who is held out, whole speakers or whole files; `clips` says of each clip who it is.

    About a share of them, but two clips at least: where it has fewer, the next by hash are held out
    too, as long as that takes no more than LARGEST of the clips; else nobody is. Two clips at least
    stay to learn from.
    """
    counts = Counter(clips)
    total, held = counts.total(), 0
    found: set[str] = set()
    for place, who in sorted((hashed(who), who) for who in counts):
        within = place < share
        most = total - 2 if within else total * max(share, LARGEST)
        if (within or (share and held < 2)) and held + counts[who] <= most:
            found.add(who)
            held += counts[who]
    return found if held >= 2 else set()


def draw(names: Sequence[str], most: int) -> list[int]:
    """The numbers of at most so many of these, rising: the first of a list may all be alike."""
    return sorted(sorted(range(len(names)), key=lambda number: hashed(names[number]))[:most])


def hashed(name: str) -> float:
    """A number from 0 to 1 that depends on the name alone."""
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
