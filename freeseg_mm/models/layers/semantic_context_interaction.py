"""Visual features attend to the text (Sec. 3.3, Eq. 7-9)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from freeseg_mm.registry import MODELS


@MODELS.register_module()
class SemanticContextInteraction(BaseModule):
    """Cross attention from pixels to text embeddings, added to the pixels.

    Computes ``x + gamma * H(Attn(LN(x), LN(F_t), LN(F_t)))``. One module
    serves the decoder's three maps and the mask features; the text is
    normalised once for all (the authors' release normalises it anew for
    each map, see ``docs/reproduction.md``).

    Args:
        feat_channels: Width of the visual features.
        embed_dim: Width D of the text embeddings.
        attention_channels: Total width of queries, keys and values.
        num_heads: Attention heads; must divide ``attention_channels``.
        dropout: Drop probability of attention weights in training.
        layer_scale: Initial value of the learned factor gamma.

    Raises:
        ValueError: If the heads do not divide the attention's width.
    """

    def __init__(
        self,
        *,
        feat_channels: int,
        embed_dim: int,
        attention_channels: int = 2048,
        num_heads: int = 8,
        dropout: float = 0.1,
        layer_scale: float = 0.1,
    ) -> None:
        super().__init__()
        if attention_channels % num_heads:
            raise ValueError(
                f'attention_channels={attention_channels} is not a multiple '
                f'of num_heads={num_heads}'
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.visual_norm = nn.LayerNorm(feat_channels)
        self.text_norm = nn.LayerNorm(embed_dim)
        self.query = nn.Linear(feat_channels, attention_channels)
        self.key = nn.Linear(embed_dim, attention_channels)
        self.value = nn.Linear(embed_dim, attention_channels)
        self.output = nn.Linear(attention_channels, feat_channels)
        self.gamma = nn.Parameter(torch.full((feat_channels,), layer_scale))
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, feature_maps: list[Tensor], text_embeds: Tensor
    ) -> list[Tensor]:
        """Give every map its view of every task's text.

        Args:
            feature_maps: Maps F_v^z, each (B, feat_channels, h, w).
            text_embeds: Unit-norm F_t of T tasks, (T, P, D).

        Returns:
            Enhanced maps, each (B, T, feat_channels, h, w).
        """
        text = self.text_norm(text_embeds)
        key, value = self._split(self.key(text)), self._split(self.value(text))
        return [self._attend(x, key, value) for x in feature_maps]

    def _attend(
        self, feature_map: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        height, width = feature_map.shape[-2:]
        pixels = feature_map.flatten(2).transpose(1, 2)  # (B, hw, c)
        query = self._split(self.query(self.visual_norm(pixels)))
        batch, tasks = len(query), len(key)
        # every image with every task: (B, T, heads, hw or P, c / heads)
        attended = F.scaled_dot_product_attention(
            query[:, None].expand(-1, tasks, -1, -1, -1),
            key.expand(batch, *key.shape),
            value.expand(batch, *value.shape),
            dropout_p=self.dropout if self.training else 0.0,
        )
        attended = attended.transpose(2, 3).flatten(3)  # (B, T, hw, heads*c)
        enhanced = pixels[:, None] + self.gamma * self.output(attended)
        return enhanced.transpose(2, 3).unflatten(3, (height, width))

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, heads * c) to (B, heads, L, c)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
