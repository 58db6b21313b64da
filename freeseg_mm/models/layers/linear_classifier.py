"""The linear classifier of a closed-set Mask2Former, for any vocabulary."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from freeseg_mm.structures import Vocabulary


class LinearClassifier(nn.Linear):
    """Scores of the K classes a network was trained on, found by name.

    A class of the vocabulary with a name (or synonym) of one of the K has
    its probability; several classes that name the same one share it evenly.
    What no class names is an object, but of a class this classifier cannot
    tell, and goes evenly to the classes that name none of the K, for CLIP
    to decide; if there are no such classes, it is no-object.

    Parameters are named as in mmdet's head, whose weights it takes.

    Args:
        feat_channels: Width of a query feature.
        classes: The K classes in the order of the weights.
    """

    def __init__(self, feat_channels: int, classes: Vocabulary) -> None:
        super().__init__(feat_channels, len(classes) + 1)
        self._place = {
            name.lower(): index
            for name, index in zip(
                classes.prompts, classes.prompt_to_class, strict=True
            )
        }

    def forward(  # type: ignore[override]
        self, query_feats: Tensor, text_embeds: Tensor, vocabulary: Vocabulary
    ) -> Tensor:
        """Classify queries.

        Args:
            query_feats: (B, T or 1, N, feat_channels).
            text_embeds: (T, P, D), of which nothing but T is used.
            vocabulary: The C classes.

        Returns:
            Log-probabilities, (B, T, N, C + 1); the last is no-object.
        """
        logits = F.linear(query_feats, self.weight, self.bias).float()
        shares = self._shares(vocabulary).to(logits.device)
        probs = logits.softmax(-1) @ shares
        log_probs = probs.clamp(min=torch.finfo(probs.dtype).tiny).log()
        return log_probs.expand(-1, len(text_embeds), -1, -1)

    def is_seen(self, vocabulary: Vocabulary) -> tuple[bool, ...]:
        """Classes of a vocabulary that name one of the K, C of them."""
        return tuple(self._named(vocabulary).any(0).tolist())

    def _named(self, vocabulary: Vocabulary) -> Tensor:
        """Classes of the K that each class names, (K, C), bool."""
        named = torch.zeros(
            self.out_features - 1, len(vocabulary), dtype=torch.bool
        )
        for name, index in zip(
            vocabulary.prompts, vocabulary.prompt_to_class, strict=True
        ):
            if name.lower() in self._place:
                named[self._place[name.lower()], index] = True
        return named

    def _shares(self, vocabulary: Vocabulary) -> Tensor:
        """Shares of K + 1 probabilities that go to each, (K + 1, C + 1)."""
        named = F.pad(self._named(vocabulary).float(), (0, 1, 0, 1))
        named[-1, -1] = 1
        heirs = F.pad((named[:, :-1].sum(0) == 0).float(), (0, 1))
        heirs[-1] = not heirs.any()
        is_left = named.sum(1, keepdim=True) == 0
        shares = torch.where(is_left, heirs, named)
        return shares / shares.sum(1, keepdim=True)
