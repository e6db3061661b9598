"""CLSPModel: speech and text to L2-normalised embeddings in one space.

Composes the Zipformer speech encoder, RoBERTa and the projection heads, in the published
parameter layout. Knows nothing of where checkpoints come from (see checkpoint.py).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.models.roberta.modeling_roberta import RobertaModel

from clsp.config import CLSPConfig
from clsp.errors import CheckpointMismatch, InputError
from clsp.features import fbank, pad_features
from clsp.zipformer import FrontEnd, Zipformer, valid_frames


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

    def __init__(self, config: CLSPConfig) -> None:
        super().__init__()
        joint = config.joint_dim
        self.encoder_embed = FrontEnd(config)
        self.encoder = Zipformer(config)
        self.audio_projection = _projection(config.hidden_size, joint)
        self.audio_transform = Head(joint, config.projection_dropout)
        self.text_encoder = RobertaModel(config.text_config)
        self.text_projection = _projection(config.text_encoder_dim, joint)
        self.text_transform = Head(joint, config.projection_dropout)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init).log())

    def pooled_audio(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (n, frames, 128), lengths (n,) to the mean output frame (n, hidden_size)."""
        x, lengths = self.encoder_embed(features.to(self.encoder_embed.dtype), lengths)
        x, lengths = self.encoder(x.to(self.encoder.dtype), lengths)
        x = x.float() * valid_frames(lengths, x.shape[1])[..., None]
        return (x.sum(dim=1) / lengths[:, None]).to(self.logit_scale.dtype)

    def audio_head(self, pooled: Tensor) -> Tensor:
        return F.normalize(self.audio_transform(self.audio_projection(pooled)), dim=-1)

    def text_pooled(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (n, tokens) to RoBERTa's pooled `<s>` (n, text_encoder_dim)."""
        return self.text_encoder(input_ids, attention_mask=attention_mask).pooler_output

    def text_head(self, pooled: Tensor) -> Tensor:
        return F.normalize(self.text_transform(self.text_projection(pooled)), dim=-1)


def _projection(dim: int, joint: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, joint), nn.ReLU(), nn.Linear(joint, joint))


class CLSPModel(PreTrainedModel):
    """The published model's interface.

        audio_embedding, text_embedding, logit_scale = model(audio, audio_lens, text)

    Embeddings are L2-normalised, so a dot product is a cosine. A clip's embedding does not depend
    on the batch it comes in.
    """

    config_class = CLSPConfig
    base_model_prefix = "model"
    main_input_name = "audio"
    _supports_sdpa = True

    def __init__(self, config: CLSPConfig) -> None:
        super().__init__(config)
        self.precision: str | None = None  # as clsp.load was asked for one
        self.model = DualEncoder(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing to do: each constructor initialises its own parameters, RoBERTa its own, and
        loading is strict, so no tensor of ours is ever left to transformers' defaults.
        """

    @classmethod
    def from_pretrained(cls, name: Any, *args: Any, **kwargs: Any) -> Any:
        """transformers' own, made strict: float32 unless `dtype` says otherwise, and
        CheckpointMismatch for any missing, unexpected or misshapen tensor.

        `tiny` and the published name mean the checked files of `clsp.load`, at the pinned
        revision; so the published examples run with `from clsp import CLSPModel as AutoModel`.
        """
        from clsp.checkpoint import NAMES, resolve

        if name in NAMES and "revision" not in kwargs:
            name = resolve(name).folder
        kwargs.pop("trust_remote_code", None)  # there is none here to trust
        wants_info = kwargs.pop("output_loading_info", False)
        kwargs.setdefault("dtype", torch.float32)
        kwargs["ignore_mismatched_sizes"] = True  # collected below, where all can be named at once
        model, info = super().from_pretrained(name, *args, output_loading_info=True, **kwargs)
        problems = [
            *(f"missing: {key}" for key in sorted(info["missing_keys"])),
            *(f"unexpected: {key}" for key in sorted(info["unexpected_keys"])),
            *(
                f"misshapen: {key} is {tuple(found)} in the file, {tuple(wanted)} in the model"
                for key, found, wanted in sorted(info["mismatched_keys"])
            ),
        ]
        if problems:
            more = f" ... and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise CheckpointMismatch(
                f"weights of {name} do not fit its config.json: {'; '.join(problems[:10])}{more}. "
                "Expected every tensor of the published layout; download the checkpoint again, "
                "or fix config.json"
            )
        return (model, info) if wants_info else model

    # ---- speech -----------------------------------------------------------------------------

    def get_audio_features(self, audio: Tensor, audio_lens: Tensor | None = None) -> Tensor:
        """Padded waveforms (n, samples), 16 kHz mono float in [-1, 1], and their lengths (n,) in
        samples, to L2-normalised embeddings (n, joint_dim).

        Raises InputError for a wrong shape, or a clip under 1,360 samples (85 ms).
        """
        if audio.ndim != 2:
            raise InputError(f"audio of shape {tuple(audio.shape)}: expected (n, samples)")
        n, samples = audio.shape
        lengths = [samples] * n if audio_lens is None else [int(length) for length in audio_lens]
        if len(lengths) != n or not all(0 <= length <= samples for length in lengths):
            raise InputError(
                f"audio_lens {lengths[:8]} for audio of shape {(n, samples)}: expected one length "
                "per clip, in samples, none longer than the batch"
            )
        return self.embed_audio(
            [clip[:length] for clip, length in zip(audio, lengths, strict=True)]
        )

    def embed_audio(self, clips: Sequence[Tensor | np.ndarray]) -> Tensor:
        """Clips (samples,) of any lengths, 16 kHz mono, to embeddings (n, joint_dim), as one batch.

        Raises InputError for a wrong shape, or a clip under 1,360 samples (85 ms).
        """
        return self.embed_features([fbank(torch.as_tensor(clip).to(self.device)) for clip in clips])

    def embed_features(self, features: Sequence[Tensor]) -> Tensor:
        """Clips of log-mel features (frames, 128) to embeddings (n, joint_dim), as one batch."""
        padded, lengths = pad_features(features)
        pooled = self.model.pooled_audio(padded.to(self.device), lengths.to(self.device))
        return self.model.audio_head(pooled)

    # ---- text -------------------------------------------------------------------------------

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Token ids (n, tokens) to L2-normalised embeddings (n, joint_dim).

        Without a mask, padding tokens are masked: RoBERTa's answer is wrong when they are not.
        """
        if attention_mask is None:
            attention_mask = (input_ids != self.config.text_config.pad_token_id).long()
        return self.model.text_head(self.model.text_pooled(input_ids, attention_mask))

    def embed_text(self, text: Sequence[str]) -> Tensor:
        """Strings to embeddings (n, joint_dim). Texts past the model's length are cut at the end.

        Raises ModelNotFound when the tokenizer's files are not at hand.
        """
        if isinstance(text, str) or not text:
            raise InputError(f"text {text!r}: expected a non-empty list of strings")
        tokens = self.tokenizer(
            list(text),
            padding=True,
            truncation=True,
            max_length=self.config.text_config.max_position_embeddings - 2,  # 512 as published
            return_tensors="pt",
        ).to(self.device)
        return self.get_text_features(tokens["input_ids"], tokens["attention_mask"])

    @cached_property
    def tokenizer(self) -> Any:
        """Beside the weights where they lie there, else RoBERTa's at its pinned revision."""
        from clsp.checkpoint import load_tokenizer

        return load_tokenizer(self.config)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Config, weights and, where it is the model's own or was loaded, the tokenizer.

        Raises InputError for a model that was loaded in a `precision`.
        """
        if self.precision:
            raise InputError(
                f"a model loaded with precision={self.precision!r} cannot be saved: its weights "
                "are laid out for this machine. Load it without one"
            )
        from clsp.checkpoint import own_tokenizer

        super().save_pretrained(save_directory, **kwargs)
        if "tokenizer" in self.__dict__ or own_tokenizer(self.config):
            self.tokenizer.save_pretrained(save_directory)

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


AutoModel.register(CLSPConfig, CLSPModel, exist_ok=True)
