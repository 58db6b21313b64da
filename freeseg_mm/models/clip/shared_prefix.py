"""Causal transformer blocks, run once on what all prompts begin with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, Transformer
from torch import Tensor, nn


@dataclass(frozen=True)
class PackedPrompts:
    """Layout, as rows, of the tokens of P prompts with one beginning.

    The rows are the L tokens of the shared prefix, then each prompt's own
    tokens without padding, N in all. Causal attention lets no prefix token
    see what follows, so one copy of it serves every prompt.

    Attributes:
        num_shared: L, tokens of the prefix.
        num_prompts: P.
        longest: S, own tokens of the longest prompt.
        slots: Place of each own row in the padded (P * S), (N,), int64.
        positions: Position of each row in its prompt, (L + N,), int64.
        ends: Row of each prompt's last token, (P,), int64.
    """

    num_shared: int
    num_prompts: int
    longest: int
    slots: Tensor
    positions: Tensor
    ends: Tensor

    @classmethod
    def layout(
        cls,
        lengths: Sequence[int],
        longest: int,
        num_shared: int,
        device: torch.device,
    ) -> 'PackedPrompts':
        """Lay out prompts of so many own tokens, each at most ``longest``."""
        lasts = [total - 1 for total in accumulate(lengths, initial=0)][1:]
        own = [
            (index * longest + place, place)
            for index, length in enumerate(lengths)
            for place in range(length)
        ]
        positions = [*range(num_shared), *(num_shared + at for _, at in own)]
        return cls(
            num_shared=num_shared,
            num_prompts=len(lengths),
            longest=longest,
            slots=torch.tensor([slot for slot, _ in own], device=device),
            positions=torch.tensor(positions, device=device),
            ends=torch.tensor(lasts, device=device) + num_shared,
        )


def can_share(transformer: Any) -> bool:
    """Tell whether :func:`run_blocks` computes as this transformer does.

    It knows open_clip's plain residual blocks. Blocks with scaled, cosine or
    normalised attention (``CustomResidualAttentionBlock``), attention that
    something else has replaced or wrapped (adapters, quantisation) and
    blocks with hooks are left to run themselves.
    """
    return type(transformer) is Transformer and all(
        type(block) is ResidualAttentionBlock
        and not hasattr(block, 'ln_1_kv')
        and not block._forward_hooks
        and not block._forward_pre_hooks
        and type(block.attn) is nn.MultiheadAttention
        and block.attn.in_proj_weight is not None
        and block.attn.bias_k is None
        and not block.attn.add_zero_attn
        and block.attn.dropout == 0
        for block in transformer.resblocks
    )


def run_blocks(
    transformer: Any, rows: Tensor, prompts: PackedPrompts
) -> Tensor:
    """Pass packed rows through all blocks.

    Equal, to rounding, to passing each prompt alone, values and gradients.

    Args:
        transformer: One that :func:`can_share` knows.
        rows: Token embeddings with positions, (L + N, width).
        prompts: What the rows are.

    Returns:
        Hidden states, (L + N, width).
    """
    size = prompts.longest
    total = prompts.num_shared + size
    visible = torch.ones(size, total, dtype=torch.bool, device=rows.device)
    visible = visible.tril(prompts.num_shared)
    for block in transformer.resblocks:
        attn = block.attn
        qkv = F.linear(
            block.ln_1(rows), attn.in_proj_weight, attn.in_proj_bias
        )
        qkv = qkv.unflatten(-1, (3, attn.num_heads, -1))
        attended = attn.out_proj(_attend(qkv, prompts, visible))
        rows = rows + block.ls_1(attended)
        rows = rows + block.ls_2(block.mlp(block.ln_2(rows)))
    return rows


def _attend(qkv: Tensor, prompts: PackedPrompts, visible: Tensor) -> Tensor:
    """Let the prefix attend to itself, each suffix to prefix and itself.

    Args:
        qkv: Queries, keys and values, (L + N, 3, heads, width / heads).
        prompts: What the rows are.
        visible: Which of L + S tokens each of S may see, (S, L + S), bool.

    Returns:
        (L + N, width).
    """
    num_shared, num_prompts = prompts.num_shared, prompts.num_prompts
    # 3 of (1, heads, L, ...), and 3 of (P, heads, S, ...)
    shared = qkv[:num_shared].permute(1, 2, 0, 3)[:, None].unbind()
    own = qkv.new_zeros(num_prompts * prompts.longest, *qkv.shape[1:])
    own = own.index_copy(0, prompts.slots, qkv[num_shared:])
    own = own.unflatten(0, (num_prompts, -1)).permute(2, 0, 3, 1, 4)
    query, key, value = own.unbind()
    suffixes = F.scaled_dot_product_attention(
        query,
        torch.cat([shared[1].expand(num_prompts, -1, -1, -1), key], dim=2),
        torch.cat([shared[2].expand(num_prompts, -1, -1, -1), value], dim=2),
        attn_mask=visible,
    )
    prefix = F.scaled_dot_product_attention(
        shared[0], shared[1], shared[2], is_causal=True
    )
    suffixes = suffixes.transpose(1, 2).flatten(0, 1)  # P * S, heads, ...
    return torch.cat(
        [
            prefix[0].transpose(0, 1),
            suffixes.index_select(0, prompts.slots),
        ]
    ).flatten(1)
