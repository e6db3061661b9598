"""Embedder: speech and text to L2-normalised embeddings in one space.

Composes the Zipformer speech encoder, RoBERTa and the projection heads, in the published
parameter layout. Knows a folder's files; not where they come from (see checkpoint.py), nor
transformers' models (see model.py): this is what a run loads, and it should load at once.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp.architecture import Architecture
from clsp.checkpoint import WEIGHTS
from clsp.errors import InputError
from clsp.features import fbank, pad_features
from clsp.frontend import FrontEnd, valid_frames
from clsp.roberta import Roberta
from clsp.text_reader import TextReader
from clsp.weights import bare, fill, share, write
from clsp.zipformer import Zipformer

PREFIX = "model."  # of the published checkpoint's tensors
MOST_SAMPLE = 32_768.0  # 16-bit samples that were not scaled are far off, but give an answer


class Head(nn.Module):
    """Linear, ReLU, dropout, Linear; `sequential.0` and `.3` in the checkpoint."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.sequential = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.sequential(x)


class DualEncoder(nn.Module):
    """The published parameters, from features and token ids to embeddings."""

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        joint = config.joint_dim
        self.encoder_embed = FrontEnd(config)
        self.encoder = Zipformer(config)
        self.audio_projection = _projection(config.hidden_size, joint)
        self.audio_transform = Head(joint, config.projection_dropout)
        self.text_encoder = Roberta(config.text_config)
        self.text_projection = _projection(config.text_encoder_dim, joint)
        self.text_transform = Head(joint, config.projection_dropout)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(config.logit_scale_init)))

    def pooled_audio(self, features: Tensor, lengths: Tensor, padded: bool | None = None) -> Tensor:
        """Features (n, frames, 128), lengths (n,) to the mean output frame (n, hidden_size).

        padded: whether any clip is shorter than its batch, where the caller knows: to ask a GPU is
        to wait for it. Raises InputError in float16, whose largest number is 65,504.
        """
        if self.encoder.dtype == torch.float16:
            raise InputError(
                "speech in float16, in which the encoder's sums overflow to NaN: expected float32 "
                "or bfloat16. Load the model with dtype=torch.float32, or call model.float()"
            )
        if padded is None:
            padded = int(lengths.min()) < features.shape[1]
        if (multiple := self.encoder.frames_multiple) > 1:
            features = F.pad(features, (0, 0, 0, -(features.shape[1] - 7) % (2 * multiple)))
            padded = True
        with torch.cuda.device_of(features):  # where kernels of ours run: not by their arguments
            x, lengths = self.encoder_embed(features.to(self.encoder_embed.dtype), lengths, padded)
            x, lengths = self.encoder(x.to(self.encoder.dtype), lengths, padded)
        x = x.float() * valid_frames(lengths, x.shape[1])[..., None]
        return (x.sum(dim=1) / lengths[:, None]).to(self.logit_scale.dtype)

    def audio_head(self, pooled: Tensor) -> Tensor:
        return F.normalize(self.audio_transform(self.audio_projection(pooled)), dim=-1)

    def text_pooled(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (n, tokens) to RoBERTa's pooled `<s>` (n, text_encoder_dim)."""
        return self.text_encoder(input_ids, attention_mask)

    def text_head(self, pooled: Tensor) -> Tensor:
        return F.normalize(self.text_transform(self.text_projection(pooled)), dim=-1)


def _projection(dim: int, joint: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, joint), nn.ReLU(), nn.Linear(joint, joint))


class Embedder(nn.Module):
    """The published model's interface.

        audio_embedding, text_embedding, logit_scale = model(audio, audio_lens, text)

    Embeddings are L2-normalised, so a dot product is a cosine. A clip's embedding does not depend
    on the batch it comes in.
    """

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        self.config: Any = config  # of a CLSPModel, a CLSPConfig
        self.precision: str | None = None  # as clsp.load was asked for one
        self.model = DualEncoder(config)
        self._texts = TextReader(config)

    @classmethod
    def read(cls, folder: Path, dtype: torch.dtype = torch.float32) -> Self:
        """A folder's `config.json` and `model.safetensors`, in eval mode, on the CPU.

        Raises CheckpointMismatch for any missing, unexpected or misshapen tensor, or a config that
        is none; SafetensorError or OSError for a file that cannot be read.
        """
        config = Architecture.read(folder)
        with bare():
            made = cls(config)
        fill(made.model, folder / WEIGHTS, PREFIX, dtype)
        return made.eval()

    @property
    def device(self) -> torch.device:
        return self.model.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the text encoder and the heads."""
        return self.model.logit_scale.dtype

    # ---- speech -----------------------------------------------------------------------------

    def get_audio_features(self, audio: Tensor, audio_lens: Tensor | None = None) -> Tensor:
        """Padded waveforms (n, samples), 16 kHz mono float in [-1, 1], and their lengths (n,) in
        samples, to L2-normalised embeddings (n, joint_dim).

        Raises InputError for a wrong shape, a clip under 1,360 samples (85 ms) or with NaN in it,
        or a model in float16.
        """
        if getattr(audio, "ndim", None) != 2:
            given = tuple(audio.shape) if hasattr(audio, "shape") else type(audio).__name__
            raise InputError(
                f"audio of shape {given}: expected (n, samples). A list of clips is for embed_audio"
            )
        n, samples = audio.shape
        told = torch.full((n,), samples) if audio_lens is None else torch.as_tensor(audio_lens)
        whole = not told.is_floating_point() and told.dtype != torch.bool
        lengths = told.tolist()
        if told.shape != (n,) or not whole or not all(0 <= one <= samples for one in lengths):
            raise InputError(
                f"audio_lens {str(lengths)[:80]} for audio of shape {(n, samples)}: expected one "
                "length per clip, in whole samples, none longer than the batch"
            )
        return self.embed_audio(
            [clip[:length] for clip, length in zip(audio, lengths, strict=True)]
        )

    def embed_audio(self, clips: Sequence[Tensor | np.ndarray]) -> Tensor:
        """Clips (samples,) of any lengths, 16 kHz mono, to embeddings (n, joint_dim), as one batch.

        Raises InputError for a wrong shape, a clip under 1,360 samples (85 ms) or with NaN in it,
        or a model in float16.
        """
        return self.embed_features([fbank(_heard(clip).to(self.device)) for clip in clips])

    def embed_features(self, features: Sequence[Tensor]) -> Tensor:
        """Clips of log-mel features (frames, 128) to embeddings (n, joint_dim), as one batch."""
        batch, lengths = pad_features(features)
        padded = any(len(clip) < batch.shape[1] for clip in features)
        return self.embed_padded(batch.to(self.device), lengths.to(self.device), padded)

    def embed_padded(self, batch: Tensor, lengths: Tensor, padded: bool) -> Tensor:
        """What `pad_features` made, on the model's device, to embeddings (n, joint_dim). padded:
        whether any clip is shorter than the batch. A model loaded in a `precision` keeps to that
        under autocast, too."""
        with torch.autocast(batch.device.type, enabled=False) if self.precision else nullcontext():
            return self.model.audio_head(self.model.pooled_audio(batch, lengths, padded))

    # ---- text -------------------------------------------------------------------------------

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Token ids (n, tokens) to L2-normalised embeddings (n, joint_dim).

        Without a mask, padding tokens are masked: RoBERTa's answer is wrong when they are not.
        Raises InputError for a mask of another shape.
        """
        if attention_mask is None:
            attention_mask = (input_ids != self.config.text_config.pad_token_id).long()
        if attention_mask.shape != input_ids.shape:
            raise InputError(
                f"attention_mask of shape {tuple(attention_mask.shape)} for input_ids of "
                f"{tuple(input_ids.shape)}: expected the same, (n, tokens)"
            )
        return self.model.text_head(self.model.text_pooled(input_ids, attention_mask))

    def embed_text(self, text: Sequence[str]) -> Tensor:
        """Strings to embeddings (n, joint_dim). Texts past the model's length are cut at the end.

        Raises InputError for what is no list of strings in UTF-8, ModelNotFound when the
        tokenizer's files are not at hand, CheckpointMismatch when they are broken.
        """
        listed = isinstance(text, Iterable) and not isinstance(text, (str, bytes, Mapping))
        if not listed or not (text := list(text)):
            raise InputError(f"text {text!r}: expected a non-empty list of strings")
        return self.get_text_features(*self.tokens(text))

    def tokens(self, text: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids and mask, (n, longest) each, on the model's device; cut at its length, 512 as
        published. Raises as `embed_text`."""
        ids, mask = self._texts.read(text)
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)

    @property
    def tokenizer(self) -> Any:
        """transformers' own: from beside the weights where it lies there, else RoBERTa's at its
        pinned revision. Another one may be set in its place. Raises ModelNotFound where one lay
        beside the weights and no longer does."""
        return self._texts.tokenizer()

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self._texts.given = tokenizer

    # ---- both -------------------------------------------------------------------------------

    @property
    def scale(self) -> float:
        """What cosines are multiplied by before a softmax."""
        return float(self.model.logit_scale.detach().exp())

    def forward(
        self,
        audio: Tensor | None = None,
        audio_lens: Tensor | None = None,
        text: Sequence[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """(audio_embedding | None, text_embedding | None, e^logit_scale), as published.

        audio: (n, samples) at 16 kHz, padded; audio_lens: (n,) in samples; text: list of strings.
        """
        return (
            None if audio is None else self.get_audio_features(audio, audio_lens),
            None if text is None else self.embed_text(text),
            self.model.logit_scale.exp(),
        )

    # ---- files ------------------------------------------------------------------------------

    def save_pretrained(self, save_directory: Path | str) -> None:
        """Config, weights and, where it is the model's own or was loaded, the tokenizer: a folder
        that `clsp.load` and transformers' `AutoModel` take.

        Raises InputError for a model that was loaded in a `precision`, ModelNotFound where its own
        tokenizer is gone.
        """
        self.refuse_packed()
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self._texts.save(folder)
        dtype = str(self.dtype).removeprefix("torch.")  # and not what was read
        self.config.write(folder, architectures=["CLSPModel"], dtype=dtype)
        write(self.model, folder / WEIGHTS, PREFIX)
        share(folder)

    def refuse_packed(self) -> None:
        """Raises InputError for a model that was loaded in a `precision`."""
        if self.precision:
            raise InputError(
                f"a model loaded with precision={self.precision!r} cannot be saved: its weights "
                "are laid out for this machine. Load it without one"
            )


def _heard(clip: Tensor | np.ndarray) -> Tensor:
    """A clip as a tensor. Raises InputError for one on the CPU (to ask a GPU is to wait for it) in
    which a sample is NaN, infinite, or beyond what any number format of audio has."""
    if isinstance(clip, np.ndarray) and clip.dtype.kind == "f":
        clip = np.array(clip, np.float32)  # whatever its strides, byte order, and who may write it
    heard = torch.as_tensor(clip)
    if heard.numel() and heard.is_floating_point() and not heard.is_cuda:
        low, high = (float(one) for one in heard.detach().aminmax())
        if not max(-low, high) <= MOST_SAMPLE:  # NaN is not, either
            raise InputError(
                f"a clip with samples from {low} to {high}: expected finite numbers in [-1, 1]"
            )
    return heard
