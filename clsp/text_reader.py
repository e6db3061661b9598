"""Texts to token ids, by the tokenizer that counts for a model.

That is the one it was given, else the one beside its weights, else RoBERTa's at its pinned
revision. transformers is imported only for who asks for its tokenizer. Knows folders and
tokenizers; nothing of weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clsp.architecture import Architecture
from clsp.checkpoint import load_tokenizer, own_tokenizer, read_tokenizer
from clsp.errors import InputError, ModelNotFound


class TextReader:
    """`given` is transformers' tokenizer, where one was set or has been asked for."""

    def __init__(self, config: Architecture) -> None:
        self.config = config
        self.given: Any = None
        self.had_own = self.has_own()  # when the model was read
        self._plain: Any = None

    def has_own(self) -> bool:
        """Whether a tokenizer lies beside the weights."""
        return own_tokenizer(self.config) is not None

    def tokenizer(self) -> Any:
        """transformers' tokenizer. Raises as clsp.checkpoint.load_tokenizer, and ModelNotFound
        where one lay beside the weights and no longer does."""
        if self.given is None:
            self._require_own()
            self.given = load_tokenizer(self.config)
        return self.given

    def read(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids and masks, (n, longest) each; cut at the model's length.

        Raises InputError for what is no string in UTF-8; as `tokenizer`, otherwise.
        """
        _require_utf8(texts)
        backend = self._backend()
        text_config = self.config.text_config
        backend.enable_truncation(text_config.longest_text)
        backend.enable_padding(pad_id=text_config.pad_token_id)
        read = backend.encode_batch(list(texts))
        return [one.ids for one in read], [one.attention_mask for one in read]

    def save(self, folder: Path | str) -> None:
        """Write it, where the model has one of its own or was given one. Raises ModelNotFound
        where one lay beside the weights and no longer does."""
        if self.given is None:
            self._require_own()
        if self.given is not None or self.has_own():
            self.tokenizer().save_pretrained(folder)

    def _backend(self) -> Any:
        """What a tokenizer of transformers rests on: a tokenizers.Tokenizer."""
        if self.given is not None:
            return self.given.backend_tokenizer
        if self._plain is None:
            folder = own_tokenizer(self.config)
            if folder is None:
                return self.tokenizer().backend_tokenizer
            self._plain = read_tokenizer(folder)
        return self._plain

    def _require_own(self) -> None:
        if self.had_own and not self.has_own():
            raise ModelNotFound(
                f"no tokenizer.json in {self.config._name_or_path}, where it was when the model "
                "was loaded: put it back, or set model.tokenizer"
            )


def _require_utf8(texts: Sequence[str]) -> None:
    for one in texts:
        try:
            one.encode()
        except (AttributeError, UnicodeEncodeError) as error:  # as sys.argv has for other bytes
            raise InputError(
                f"text {one!r}: expected a string that can be written in UTF-8"
            ) from error
