"""Scores of queries against text: Eq. 2 with a temperature."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineClassifier(nn.Module):
    """Scaled cosine between query and text embeddings, plus no-object.

    Args:
        feat_channels: Width of a query feature.
        embed_dim: Width D of the text embeddings.
        hidden_channels: Width between the two layers that bring queries
            into the joint space.
        temperature: Factor of the cosine, 100 in CLIP; the paper does not
            mention one.
        learn_temperature: Whether to learn it from that start.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """

    def __init__(
        self,
        *,
        feat_channels: int,
        embed_dim: int,
        hidden_channels: int = 1024,
        temperature: float = 100.0,
        learn_temperature: bool = False,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'expected temperature > 0, got {temperature}')
        self.project = nn.Sequential(
            nn.Linear(feat_channels, hidden_channels),
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
        prompt_to_class: Sequence[int],
    ) -> Tensor:
        """Classify queries.

        Args:
            query_feats: (B, T or 1, N, feat_channels).
            text_embeds: Unit-norm, (T, P, D).
            prompt_to_class: Class of each of the P prompts, ascending.

        Returns:
            Logits, (B, T, N, C + 1); the last column is no-object.
        """
        queries = self.embed(query_feats)
        scale = self.log_temperature.exp()
        classes = scale * queries @ text_embeds.transpose(-1, -2)
        nothing = scale * queries @ F.normalize(self.no_object, dim=0)
        nothing = nothing.unsqueeze(-1).expand(*classes.shape[:-1], 1)
        best = max_over_synonyms(classes, prompt_to_class)
        return torch.cat([best, nothing], dim=-1)

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
