"""The text encoder: RoBERTa (arXiv 1907.11692), as far as CLSP uses it.

Token ids to the pooled `<s>`, in transformers' parameter layout, which the published checkpoint
has. transformers' own computes the same (tests/unit/test_roberta.py) but takes longer to import
than torch: every `clsp tag` waited for it. Knows nothing of tokenizers or files.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Embeddings(nn.Module):
    """Token ids (n, tokens) to (n, tokens, hidden_size). Positions are counted from
    `pad_token_id` + 1 over what is not padding."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size, self.padding = config.hidden_size, config.pad_token_id
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=self.padding)
        self.position_embeddings = nn.Embedding(
            config.max_position_embeddings, size, padding_idx=self.padding
        )
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor) -> Tensor:
        real = (input_ids != self.padding).long()
        positions = real.cumsum(dim=1) * real + self.padding
        words = self.word_embeddings(input_ids) + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(words + self.position_embeddings(positions)))


class SelfAttention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.dropout = config.num_attention_heads, config.attention_probs_dropout_prob
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        heard = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
        return heard.transpose(1, 2).flatten(2)


class AddNorm(nn.Module):
    """LayerNorm(dense(x) + residual)."""

    def __init__(self, size_in: int, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(size_in, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Dense(nn.Module):
    """A linear layer that the checkpoint calls `dense`."""

    def __init__(self, size_in: int, size_out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size_in, size_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


class Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config), "output": AddNorm(size, config)}
        )
        self.intermediate, self.output = Dense(size, wide), AddNorm(wide, config)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate(x)), x)


class Roberta(nn.Module):
    """Token ids (n, tokens) and mask (n, tokens), 1 where a token counts, to (n, hidden_size).

    config: a transformers RobertaConfig, or anything with its names.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = (Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.pooler = Dense(config.hidden_size, config.hidden_size)
        self._initialise(config.initializer_range)

    @torch.no_grad()
    def _initialise(self, deviation: float) -> None:
        """As BERT: normal weights, biases 0."""
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=deviation)
            if isinstance(part, nn.Linear):
                nn.init.zeros_(part.bias)
            if isinstance(part, nn.Embedding) and part.padding_idx is not None:
                nn.init.zeros_(part.weight[part.padding_idx])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.embeddings(input_ids)
        # Nothing masked: attention without a mask is faster, and the same.
        mask = None if bool(attention_mask.all()) else attention_mask.bool()[:, None, None, :]
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return torch.tanh(self.pooler(x[:, 0]))
