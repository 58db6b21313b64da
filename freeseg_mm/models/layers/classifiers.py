"""Class scores of queries: against text (Eq. 2), or of fixed classes."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from freeseg_mm.structures import Vocabulary


class CosineClassifier(nn.Module):
    """Scaled cosine between query and text embeddings, plus no-object.

    Args:
        feat_channels: Width of a query feature.
        embed_dim: Width D of the text embeddings.
        hidden_channels: Width between the layers that bring queries into
            the joint space.
        num_layers: Number of these layers, at least 2; FC-CLIP has 3.
        temperature: Factor of the cosine, 100 in CLIP; the paper does not
            mention one.
        learn_temperature: Whether to learn it from that start.
        max_temperature: Bound of a learned factor; 100 in FC-CLIP.

    Raises:
        ValueError: If ``temperature`` is not positive or there are fewer
            than two layers.
    """

    def __init__(
        self,
        *,
        feat_channels: int,
        embed_dim: int,
        hidden_channels: int = 1024,
        num_layers: int = 2,
        temperature: float = 100.0,
        learn_temperature: bool = False,
        max_temperature: float = math.inf,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'expected temperature > 0, got {temperature}')
        if num_layers < 2:
            raise ValueError(f'expected num_layers >= 2, got {num_layers}')
        self.max_temperature = max_temperature
        layers: list[nn.Module] = [nn.Linear(feat_channels, hidden_channels)]
        for _ in range(num_layers - 2):
            layers += [
                nn.ReLU(inplace=True),
                nn.Linear(hidden_channels, hidden_channels),
            ]
        self.project = nn.Sequential(
            *layers,
            nn.ReLU(inplace=True),
            nn.Linear(hidden_channels, embed_dim),
        )
        self.no_object = nn.Parameter(embed_dim**-0.5 * torch.randn(embed_dim))
        log_temperature = torch.tensor(temperature).log()
        if learn_temperature:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer(
                'log_temperature', log_temperature, persistent=False
            )

    def forward(
        self,
        query_feats: Tensor,
        text_embeds: Tensor,
        vocabulary: Vocabulary,
    ) -> Tensor:
        """Classify queries.

        Args:
            query_feats: (B, T or 1, N, feat_channels).
            text_embeds: Unit-norm, (T, P, D).
            vocabulary: The C classes, P names.

        Returns:
            Logits, (B, T, N, C + 1); the last column is no-object.
        """
        queries = self.embed(query_feats)
        scale = self.scale
        classes = scale * queries @ text_embeds.transpose(-1, -2)
        nothing = scale * queries @ self.unit_no_object
        nothing = nothing.unsqueeze(-1).expand(*classes.shape[:-1], 1)
        best = max_over_synonyms(classes, vocabulary.prompt_to_class)
        return torch.cat([best, nothing], dim=-1)

    @property
    def scale(self) -> Tensor:
        """Factor of the cosine, a scalar."""
        return self.log_temperature.exp().clamp(max=self.max_temperature)

    @property
    def unit_no_object(self) -> Tensor:
        """Embedding that stands for no object, unit-norm, (D,)."""
        return F.normalize(self.no_object, dim=0)

    def is_seen(self, vocabulary: Vocabulary) -> tuple[bool, ...]:
        """Classes whose scores training has shaped, C of them."""
        return vocabulary.is_seen

    def embed(self, query_feats: Tensor) -> Tensor:
        """Bring (..., feat_channels) into the joint space, (..., D), unit."""
        return F.normalize(self.project(query_feats), dim=-1)


def max_over_synonyms(
    scores: Tensor, prompt_to_class: Sequence[int]
) -> Tensor:
    """Let each class score as its best name.

    Args:
        scores: (..., P).
        prompt_to_class: Class of each of the P prompts, ascending.

    Returns:
        (..., C).
    """
    num_classes = prompt_to_class[-1] + 1
    if num_classes == scores.shape[-1]:
        return scores
    index = torch.tensor(prompt_to_class, device=scores.device)
    best = scores.new_full((*scores.shape[:-1], num_classes), -torch.inf)
    return best.scatter_reduce(-1, index.expand_as(scores), scores, 'amax')


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
