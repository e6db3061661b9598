"""What a precision changes in the embeddings of a folder's clips, and the batch they come in.

    python -m tests.benchmarks.batches FOLDER

Each clip alone, against all of them in one batch: the largest difference of any number, and the
least cosine. And each alone, against what PyTorch's modules make of it. For `tiny`, and for the two
small models with random weights that tests have. Not part of `make bench`: nothing is timed.
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
        exact = None
        for precision in (None, *PRECISIONS):
            model = clsp.load(name, precision=precision)
            together = model.embed_audio(heard)
            alone = torch.cat([model.embed_audio([clip]) for clip in heard])
            apart = (together - alone).abs().max()
            cosine = torch.cosine_similarity(together, alone).min()
            exact = alone if exact is None else exact
            like = torch.cosine_similarity(alone, exact).min()
            print(
                f"{Path(name).name} {precision}: in a batch {apart:.1e} apart, cosine "
                f"{cosine:.6f}; to the modules {like:.6f}"
            )


if __name__ == "__main__":
    main()
