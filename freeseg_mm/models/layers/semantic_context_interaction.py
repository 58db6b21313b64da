"""Visual features attend to the text (Sec. 3.3, Eq. 7-9)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from freeseg_mm.registry import MODELS

SCORE_BUDGET = 2**25
"""Most attention scores made at once: 128 MiB in float32."""

KEPT_SCORES = 2**27
"""Most attention scores of a map kept for its gradients: 512 MiB in float32,
and as much again for softmax and dropout. Those of more are made again, a
piece at a time, in the backward pass."""

RESIDUALS = (True, False, 'normalized')


@MODELS.register_module()
class SemanticContextInteraction(BaseModule):
    """Cross attention from pixels to text embeddings, added to the pixels.

    Computes ``x + gamma * H(Attn(LN(x), LN(F_t), LN(F_t)))``. One module
    serves the decoder's three maps and the mask features; the text is
    normalised once for all.

    With P prompts, c channels, and heads of d channels, projecting all
    pixels costs 2 d (c + P) multiplications a pixel and head; a query's and
    an output's projection moved to the text side leave 2 c P. The cheaper
    one is taken: with the paper's d = c always the second, which also makes
    no tensor of pixels x ``attention_channels``. Both give the same result.

    Args:
        feat_channels: Width of the visual features.
        embed_dim: Width D of the text embeddings.
        attention_channels: Total width of queries, keys and values.
        num_heads: Attention heads; must divide ``attention_channels``.
        dropout: Drop probability of attention weights in training.
        layer_scale: Initial value of the learned factor gamma; ``None`` for
            none.
        residual: Terms beside what pixels attended to: the pixels
            (``True``), the ``'normalized'`` pixels (as released) or, as Eq.
            9 is written, none (``False``).
        norms: Whether pixels and text are normalized first; Eq. 7 and 8 have
            no norm.
        cumulative_text_norm: Whether each map normalizes the text once more,
            on top of the maps before it (as released).
        no_object_key: Whether pixels attend to the no-object embedding, too
            (as released).

    Raises:
        ValueError: If the heads do not divide the attention's width,
            ``residual`` is unknown, or a norm is asked for without norms.
    """

    def __init__(
        self,
        *,
        feat_channels: int,
        embed_dim: int,
        attention_channels: int = 2048,
        num_heads: int = 8,
        dropout: float = 0.1,
        layer_scale: float | None = 0.1,
        residual: bool | str = True,
        norms: bool = True,
        cumulative_text_norm: bool = False,
        no_object_key: bool = False,
    ) -> None:
        super().__init__()
        if residual not in RESIDUALS:
            raise ValueError(f'residual {residual!r} is none of {RESIDUALS}')
        if not norms and (residual == 'normalized' or cumulative_text_norm):
            raise ValueError(
                f'residual={residual!r} and cumulative_text_norm='
                f'{cumulative_text_norm} ask for a norm that norms=False '
                'takes away; set norms=True'
            )
        if attention_channels % num_heads:
            raise ValueError(
                f'attention_channels={attention_channels} is not a multiple '
                f'of num_heads={num_heads}'
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.residual = residual
        self.cumulative_text_norm = cumulative_text_norm
        self.no_object_key = no_object_key
        self.visual_norm = (
            nn.LayerNorm(feat_channels) if norms else nn.Identity()
        )
        self.text_norm = nn.LayerNorm(embed_dim) if norms else nn.Identity()
        self.query = nn.Linear(feat_channels, attention_channels)
        self.key = nn.Linear(embed_dim, attention_channels)
        self.value = nn.Linear(embed_dim, attention_channels)
        self.output = nn.Linear(attention_channels, feat_channels)
        self.gamma: nn.Parameter | None = None
        if layer_scale is not None:
            self.gamma = nn.Parameter(
                torch.full((feat_channels,), layer_scale)
            )
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        feature_maps: list[Tensor],
        text_embeds: Tensor,
        no_object: Tensor | None = None,
    ) -> list[Tensor]:
        """Give every map its view of every task's text.

        Args:
            feature_maps: Maps F_v^z, each (B, feat_channels, h, w).
            text_embeds: Unit-norm F_t of T tasks, (T, P, D).
            no_object: Unit-norm embedding of no object, (D,), a further key
                with ``no_object_key``, else of no effect.

        Returns:
            Enhanced maps, each (B, T, feat_channels, h, w).

        Raises:
            ValueError: If ``no_object`` is missing where it is a key.
        """
        text = text_embeds
        if self.no_object_key:
            if no_object is None:
                raise ValueError('no_object_key=True needs no_object')
            row = no_object.expand(len(text), 1, -1)
            text = torch.cat([text, row], dim=1)
        enhanced: list[Tensor] = []
        for feature_map in feature_maps:
            if not enhanced or self.cumulative_text_norm:
                text = self.text_norm(text)
                key = self._split(self.key(text))
                value = self._split(self.value(text))
                folded = None
                if self._folding_pays(text.shape[1]):
                    folded = self._fold(key, value)
            if folded is None:
                enhanced.append(self._attend(feature_map, key, value))
            else:
                enhanced.append(self._attend_folded(feature_map, *folded))
        return enhanced

    def _folding_pays(self, prompts: int) -> bool:
        channels = self.query.in_features
        width = self.query.out_features // self.num_heads
        return prompts * channels < width * (channels + prompts)

    def _attend(
        self, feature_map: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        normed = self.visual_norm(
            feature_map.flatten(2).transpose(1, 2)
        )  # (B, hw, c)
        query = self._split(self.query(normed))
        batch, tasks = len(query), len(key)
        # every image with every task: (B, T, heads, hw or P, c / heads)
        attended = F.scaled_dot_product_attention(
            query[:, None].expand(-1, tasks, -1, -1, -1),
            key.expand(batch, *key.shape),
            value.expand(batch, *value.shape),
            dropout_p=self.dropout if self.training else 0.0,
        )
        attended = attended.transpose(2, 3).flatten(3)  # (B, T, hw, heads*c)
        return self._add(feature_map, normed, self.output(attended))

    def _fold(
        self, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let keys and values take over the projections of the pixels.

        Args:
            key: (T, heads, P, d).
            value: (T, heads, P, d).

        Returns:
            Keys (T, heads * P, c) and their biases (T, heads * P), to be
            met by normalised pixels, and values (T, heads * P, c).
        """
        scale = key.shape[-1] ** -0.5
        query_weight = self.query.weight.unflatten(0, (self.num_heads, -1))
        query_bias = self.query.bias.unflatten(0, (self.num_heads, -1, 1))
        output_weight = self.output.weight.unflatten(1, (self.num_heads, -1))
        keys = scale * key @ query_weight  # per head (P, d) @ (d, c)
        biases = scale * key @ query_bias
        values = value @ output_weight.permute(1, 2, 0)
        return keys.flatten(1, 2), biases.flatten(1), values.flatten(1, 2)

    def _attend_folded(
        self, feature_map: Tensor, keys: Tensor, biases: Tensor, values: Tensor
    ) -> Tensor:
        pixels = self.visual_norm(feature_map.flatten(2).transpose(1, 2))
        at_once = chunk = pixels.shape[1]
        scores = len(pixels) * keys.shape[1]  # of a pixel of each image
        keep = torch.is_grad_enabled()
        if not keep or scores * at_once > KEPT_SCORES:
            chunk = max(1, SCORE_BUDGET // scores)

        def read(*inputs: Tensor) -> Tensor:
            if keep and chunk < at_once:
                return checkpoint(self._read, *inputs, use_reentrant=False)
            return self._read(*inputs)

        parts = [pixels] if chunk >= at_once else pixels.split(chunk, dim=1)
        attended = [
            torch.cat([read(part, *text) for part in parts], dim=1)
            for text in zip(keys, biases, values, strict=True)
        ]
        return self._add(
            feature_map,
            pixels,
            torch.stack(attended, dim=1) + self.output.bias,
        )

    def _read(
        self, pixels: Tensor, key: Tensor, bias: Tensor, value: Tensor
    ) -> Tensor:
        """Attend from pixels (B, L, c) to one task's folded text.

        Args:
            pixels: Normalized.
            key: (heads * P, c).
            bias: (heads * P).
            value: (heads * P, c).

        Returns:
            (B, L, c), without the output's bias.
        """
        scores = F.linear(pixels, key, bias)  # (B, L, heads * P)
        weights = scores.unflatten(-1, (self.num_heads, -1)).softmax(-1)
        weights = F.dropout(weights, self.dropout, self.training)
        return weights.flatten(-2) @ value

    def _add(
        self, feature_map: Tensor, normed: Tensor, attended: Tensor
    ) -> Tensor:
        """Add what pixels attended to to a map.

        Args:
            feature_map: (B, c, h, w).
            normed: Its normalized pixels, (B, hw, c).
            attended: (B, T, hw, c).

        Returns:
            (B, T, c, h, w).
        """
        if self.gamma is not None:
            attended = self.gamma * attended
        if self.residual == 'normalized':
            attended = normed[:, None] + attended
        attended = attended.transpose(-2, -1).unflatten(
            -1, feature_map.shape[-2:]
        )
        if self.residual is True:
            attended = feature_map[:, None] + attended
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, heads * c) to (B, heads, L, c)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
