"""What one pass of the head makes of a batch."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Proposals:
    """Masks and how queries see their classes.

    Attributes:
        query_feats: Of the last decoder layer, (B, T or 1, N, c).
        query_logits: Class logits, (B, T, N, C + 1), no-object last, float32.
        mask_logits: (B, T or 1, N, h, w), float32.
        shown_logits: The same with padding blanked, as CLIP is shown them.
        matters: Which can have a part in a result, (B, T, N), bool.
    """

    query_feats: Tensor
    query_logits: Tensor
    mask_logits: Tensor
    shown_logits: Tensor
    matters: Tensor
