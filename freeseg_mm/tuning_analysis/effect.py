"""What prompt tuning does to the queries it is confident of, by the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from freeseg_mm.evaluation.truth import read_semantic_truth
from freeseg_mm.models.heads.freeseg_fusion_head import full_resolution
from freeseg_mm.models.prompt_tuning import query_entropy, unseen_log_scores

NOTHING = -1


@dataclass
class TuningEffect:
    """Confident queries (Sec. 3.4) before and after tuning.

    What a query says is its best class of all; what its mask shows is the
    class of most labelled pixels below it.

    Attributes:
        queries: How many there are.
        right: Of these, how many say before tuning what their mask shows.
        on_seen: How many lie on a seen class, so that they are wrong.
        on_other_unseen: How many lie on another unseen class.
        on_nothing: How many lie on pixels without any label.
        turned: How many say another class after tuning.
        turned_right: Of these, how many are right after it.
        turned_wrong: How many were right before it.
        entropy_before: Sum of their entropies (Eq. 10) before tuning.
        entropy_after: The same after it.
    """

    queries: int = 0
    right: int = 0
    on_seen: int = 0
    on_other_unseen: int = 0
    on_nothing: int = 0
    turned: int = 0
    turned_right: int = 0
    turned_wrong: int = 0
    entropy_before: float = 0.0
    entropy_after: float = 0.0

    def add(
        self,
        before: Tensor,
        after: Tensor,
        shown: Tensor,
        is_seen: Tensor,
        columns: str,
    ) -> None:
        """Count queries.

        Args:
            before: Their class logits before tuning, (K, C + 1).
            after: The same after it.
            shown: What their masks show, (K,) in [0, C) or ``NOTHING``.
            is_seen: Per class, (C,), bool.
            columns: See :func:`unseen_log_scores`.
        """
        num_classes = len(is_seen)
        says = before[:, :num_classes].argmax(-1)
        says_now = after[:, :num_classes].argmax(-1)
        turned = says != says_now
        nothing = shown == NOTHING
        right = says == shown
        on_seen = ~nothing & is_seen[shown.clamp(min=0)]
        self.queries += len(shown)
        self.right += int(right.sum())
        self.on_nothing += int(nothing.sum())
        self.on_seen += int((on_seen & ~right).sum())
        self.on_other_unseen += int((~on_seen & ~nothing & ~right).sum())
        self.turned += int(turned.sum())
        self.turned_right += int((turned & (says_now == shown)).sum())
        self.turned_wrong += int((turned & right).sum())
        unseen = (~is_seen).nonzero()[:, 0]

        def entropy(logits: Tensor) -> float:
            log_scores = unseen_log_scores(logits, unseen, columns)
            return float(query_entropy(log_scores).sum())

        self.entropy_before += entropy(before)
        self.entropy_after += entropy(after)

    def lines(self) -> list[str]:
        """What to print."""
        count = self.queries
        lines = [f'confident queries: {count}']
        if not count:
            return lines

        def share(number: int) -> str:
            return f'{number} ({100 * number / count:.1f} %)'

        return [
            *lines,
            f'  name the class that their mask shows: {share(self.right)}',
            f'  lie on a seen class: {share(self.on_seen)}',
            f'  lie on another unseen class: {share(self.on_other_unseen)}',
            f'  lie on pixels without a label: {share(self.on_nothing)}',
            f'tuning makes {share(self.turned)} say another class: '
            f'{self.turned_right} turn right, {self.turned_wrong} were right',
            f'mean entropy: {self.entropy_before / count:.4f} before, '
            f'{self.entropy_after / count:.4f} after',
        ]


def shown_classes(
    mask_logits: Tensor, meta: Mapping[str, Any], num_classes: int
) -> Tensor:
    """Class of most labelled pixels below each mask.

    Args:
        mask_logits: (K, h, w), of the padded image.
        meta: Of a test sample: sizes, and where its truth is; see
            :func:`read_semantic_truth`.
        num_classes: C.

    Returns:
        (K,) int64 in [0, C); ``NOTHING`` below an empty mask or where no
        pixel has a label.

    Raises:
        FileNotFoundError: See :func:`read_semantic_truth`.
        ValueError: See :func:`read_semantic_truth`.
    """
    device = mask_logits.device
    truth = torch.from_numpy(read_semantic_truth(meta, num_classes)).to(device)
    shown = []
    for logits in mask_logits:  # one at its full size at a time
        mask = full_resolution(logits[None], dict(meta), rescale=True)[0] > 0
        below = truth[mask]
        counts = torch.bincount(below[below >= 0], minlength=num_classes)
        shown.append(torch.where(counts.any(), counts.argmax(), NOTHING))
    if not shown:
        return torch.zeros(0, dtype=torch.int64, device=device)
    return torch.stack(shown)
