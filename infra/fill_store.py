"""Copies a folder into a store, for the demo: `python fill_store.py FOLDER s3://BUCKET[/PREFIX]`.

Knows nothing of audio. Endpoint and credentials come from the environment (AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).
"""

import sys
from pathlib import Path

import fsspec


def fill(folder: Path, url: str) -> int:
    """Copy every file below `folder`, under its own name; how many there were."""
    store, top = fsspec.url_to_fs(url)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    store.makedirs(top, exist_ok=True)
    for path in files:
        store.put_file(str(path), f"{top}/{path.relative_to(folder).as_posix()}")
    return len(files)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python fill_store.py FOLDER s3://BUCKET[/PREFIX]")
    print(f"{fill(Path(sys.argv[1]), sys.argv[2])} files of {sys.argv[1]} in {sys.argv[2]}")
