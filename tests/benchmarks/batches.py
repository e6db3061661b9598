"""How far a clip's embedding depends on the batch it comes in, by precision, on clips of a folder.

    python -m tests.benchmarks.batches FOLDER

Each clip alone, against all of them in one batch: the largest difference of any number, and the
least cosine. For `tiny`, and for the two small models with random weights that tests have. Not part
of `make bench`: nothing is timed.
"""

import argparse
from pathlib import Path

import torch

import clsp
from clsp.checkpoint import PRECISIONS
from pipelines.archive import list_archive
from pipelines.audio import open_recording
from pipelines.errors import RecordingError
from pipelines.samples import to_16k
from tests.unit.golden_models import GOLDEN

SECONDS = 8  # of each clip


def clips(folder: Path) -> list[torch.Tensor]:
    found = []
    for entry in list_archive(str(folder)):
        try:
            with open_recording(Path(entry.path)) as recording:
                rate = recording.info.sample_rate
                samples = next(recording.blocks(SECONDS * rate))
        except RecordingError:
            continue
        found.append(torch.from_numpy(to_16k(samples, rate)))
    return found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of recordings")
    heard = clips(parser.parse_args().folder)
    print(f"{len(heard)} clips of at most {SECONDS} s")
    for name in ("tiny", GOLDEN / "deep", GOLDEN / "uneven"):
        for precision in (None, *PRECISIONS):
            model = clsp.load(name, precision=precision)
            together = model.embed_audio(heard)
            alone = torch.cat([model.embed_audio([clip]) for clip in heard])
            apart = (together - alone).abs().max()
            cosine = torch.cosine_similarity(together, alone).min()
            print(f"{Path(name).name} {precision}: {apart:.1e}, cosine {cosine:.6f}")


if __name__ == "__main__":
    main()
