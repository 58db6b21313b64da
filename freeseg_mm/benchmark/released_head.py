"""Mask proposals as the authors' release computes them: task by task."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from mmdet.models.dense_heads import Mask2FormerHead
from torch import Tensor

from freeseg_mm.models.heads import FreeSegHead
from freeseg_mm.models.layers import SemanticContextInteraction


class ReleasedHead:
    """The whole head for one task, with a model's own weights.

    Pixel decoder, interaction and decoder run in every call; the interaction
    projects every pixel to full width, and queries are classified after
    every decoder layer. The loop is mmdet's own.

    Args:
        head: The head whose weights to use.
    """

    def __init__(self, head: FreeSegHead) -> None:
        self.head = head

    def propose(
        self,
        feats: Sequence[Tensor],
        text_embeds: Tensor,
        class_of_prompt: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """Class and mask logits of one task, after the last layer.

        Args:
            feats: Backbone maps, each (B, c, h, w).
            text_embeds: Unit-norm F_t of the task, (P, D).
            class_of_prompt: Class of each prompt.

        Returns:
            (B, N, C + 1) and (B, N, h, w).
        """
        view = copy.copy(self.head)
        # in the copy alone, these come before the parts of those names
        view.__dict__.update(
            pixel_decoder=partial(
                self._enhanced_maps, text_embeds=text_embeds
            ),
            cls_embed=lambda queries: self.head.cls_embed(
                queries[:, None], text_embeds[None], class_of_prompt
            )[:, 0],
        )
        logits, masks = self.decode(view, feats)
        return logits[-1], masks[-1]

    def decode(
        self, view: FreeSegHead, feats: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run mmdet's loop over decoder layers on a head of one task."""
        return Mask2FormerHead.forward(view, list(feats), [])

    def _enhanced_maps(
        self, feats: list[Tensor], text_embeds: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        mask_features, maps = self.head.pixel_decoder(feats)
        interaction = self.head.context_interaction
        if interaction is None:
            return mask_features, maps
        maps = maps[: self.head.num_transformer_feat_level]
        mask_features, *maps = self.interact(
            interaction, [mask_features, *maps], text_embeds
        )
        return mask_features, maps

    def interact(
        self,
        interaction: SemanticContextInteraction,
        feature_maps: Sequence[Tensor],
        text_embeds: Tensor,
    ) -> list[Tensor]:
        """Semantic context interaction (Eq. 7-9), step by step.

        Args:
            interaction: The module whose parameters to use.
            feature_maps: Each (B, c, h, w).
            text_embeds: (P, D).

        Returns:
            The enhanced maps.
        """
        text = interaction.text_norm(text_embeds)
        enhanced = []
        for feature_map in feature_maps:
            pixels = feature_map.flatten(2).transpose(1, 2)  # (B, hw, c)
            query, key, value = (
                layer(x).unflatten(-1, (interaction.num_heads, -1))
                for layer, x in (
                    (interaction.query, interaction.visual_norm(pixels)),
                    (interaction.key, text),
                    (interaction.value, text),
                )
            )  # (B, hw, heads, c / heads), (P, heads, c / heads) twice
            scores = torch.einsum('bqhc,phc->bhqp', query, key)
            weights = (scores / query.shape[-1] ** 0.5).softmax(-1)
            attended = torch.einsum('bhqp,phc->bqhc', weights, value)
            change = interaction.output(attended.flatten(2))
            pixels = pixels + interaction.gamma * change
            enhanced.append(pixels.transpose(1, 2).view_as(feature_map))
        return enhanced
