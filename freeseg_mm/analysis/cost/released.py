"""The authors' released inference, from this package's own parts.

A yardstick: what the release does for one image, with the weights of one of
our models and our own post-processing, so that results equal ours. For each
task the whole head runs, text is encoded twice (for the queries and for
CLIP's view), and every mask is cropped and encoded. Only the backbone runs
once. Nothing is remembered between calls.
"""

import copy
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.structures import SampleList
from torch import Tensor, nn

from freeseg_mm.models.clip import FrozenCLIP, TextTower
from freeseg_mm.models.clip.crop_mask_classifier import (
    crop_mask_size,
    fit_crop_masks,
)
from freeseg_mm.models.heads import FreeSegHead
from freeseg_mm.models.heads.ensemble import ensemble_scores, object_probs
from freeseg_mm.models.layers import (
    SemanticContextInteraction,
    max_over_synonyms,
)
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.models.segmentors.batch import blank_padding
from freeseg_mm.structures import Task, Vocabulary


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
        vocabulary: Vocabulary,
    ) -> tuple[Tensor, Tensor]:
        """Class and mask logits of one task, after the last layer.

        Args:
            feats: Backbone maps, each (B, c, h, w).
            text_embeds: Unit-norm F_t of the task, (P, D).
            vocabulary: The classes, P names.

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
                queries[:, None], text_embeds[None], vocabulary
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


def classify_crops(
    clip: FrozenCLIP, image: Tensor, mask_logits: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Cut out and encode every mask of one image and task.

    Boxes are found and crops made mask by mask, the box's four edges read by
    the host; all crops are encoded, whatever their queries' scores.

    Args:
        clip: The frozen CLIP.
        image: RGB in [0, 255], (3, H, W).
        mask_logits: (N, h, w).
        threshold: Logit above which a pixel belongs to a mask.

    Returns:
        Unit-norm embeddings, (N, D), zero for empty masks; whether a mask
        is not empty, (N,), bool.
    """
    pixels = clip.normalize(image)
    embeds = image.new_zeros((len(mask_logits), clip.embed_dim))
    valid = torch.zeros(len(mask_logits), dtype=torch.bool)
    crops = []
    for index, logits in enumerate(mask_logits):
        inside = logits > threshold
        if inside.any():
            valid[index] = True
            crops.append(_crop(pixels, logits, inside, threshold, clip))
    valid = valid.to(image.device)
    if crops:
        embeds[valid] = clip.encode_images(torch.stack(crops)).to(image.dtype)
    return embeds, valid


def _crop(
    pixels: Tensor,
    logits: Tensor,
    inside: Tensor,
    threshold: float,
    clip: FrozenCLIP,
) -> Tensor:
    """The mask's box at CLIP's size, blank outside of the mask."""
    height, width = inside.shape
    rows = inside.any(1).nonzero()
    columns = inside.any(0).nonzero()
    top, bottom = int(rows[0]) / height, (int(rows[-1]) + 1) / height
    left, right = int(columns[0]) / width, (int(columns[-1]) + 1) / width
    # from the box to the frame, both measured from -1 to 1
    affine = pixels.new_tensor(
        [
            [right - left, 0.0, left + right - 1],
            [0.0, bottom - top, top + bottom - 1],
        ]
    )
    crop = _sample(pixels, affine, clip.image_size)
    blocks = _sample(logits[None], affine, crop_mask_size(clip.image_size))
    mask = fit_crop_masks(blocks[None] > threshold, clip.image_size)[0]
    return crop * mask


def _sample(maps: Tensor, affine: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of (c, h, w) maps on a grid of points in a box, (c, *size)."""
    grid = F.affine_grid(affine[None], [1, 1, *size], False)
    return F.grid_sample(
        maps[None].to(grid.dtype),
        grid,
        padding_mode='border',
        align_corners=False,
    )[0]


class FullContextTower(TextTower):
    """The same tower, run on every prompt alone and over its whole context.

    What stands behind a prompt's end token has no influence (the attention
    is causal), so embeddings equal those of :class:`TextTower`; nothing is
    cut, shared between prompts, or remembered.

    Args:
        tower: The tower whose weights and tokenizer to use.
    """

    def __init__(self, tower: TextTower) -> None:
        super().__init__(tower._tower, tower._tokenizer)

    def encode(
        self, embeddings: Tensor, end: Tensor, prefix: Tensor | None = None
    ) -> Tensor:
        """Encode prompts; see :meth:`TextTower.encode`."""
        tower, end = self._tower, end.to(self.device)
        if prefix is not None:
            prefixes = prefix.expand(len(embeddings), -1, -1)
            embeddings = torch.cat([prefixes, embeddings], dim=1)
            end = end + len(prefix)
        missing = self.context_length - embeddings.shape[1]
        x = F.pad(embeddings, (0, 0, 0, missing)) + tower.positional_embedding
        for block in tower.transformer.resblocks:
            x = block(x, attn_mask=tower.attn_mask)
        x = tower.ln_final(x[torch.arange(len(x), device=x.device), end])
        projection = tower.text_projection
        if isinstance(projection, nn.Linear):
            x = projection(x)
        elif projection is not None:
            x = x @ projection
        return F.normalize(x.float(), dim=-1)


class ReleasedFlow:
    """Answer a batch the way the authors' release does.

    Args:
        model: The model whose weights to use.
    """

    def __init__(self, model: FreeSeg) -> None:
        self.model = model
        self.text_tower = FullContextTower(model.clip.text)
        self.head = ReleasedHead(model.panoptic_head)
        # masks of at least half a probability, where crops do not say more
        self.threshold = getattr(model.mask_classifier, 'threshold_logit', 0.0)

    @torch.no_grad()
    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> SampleList:
        """All asked-for results; same as :meth:`FreeSeg.predict`.

        Args:
            batch_inputs: Normalised images, (B, 3, H, W).
            batch_data_samples: With ``vocabulary``.
        """
        feats = self.model.extract_feat(batch_inputs)
        results: list[dict] = [{} for _ in batch_data_samples]
        for task in self.model.tasks:
            predictions = self._predict(
                batch_inputs, batch_data_samples, feats, task
            )
            for result, prediction in zip(results, predictions, strict=True):
                result.update(prediction)
        return self.model.add_pred_to_datasample(batch_data_samples, results)

    def encode_text(
        self, learner: PromptLearner, vocabulary: Vocabulary, task: Task
    ) -> Tensor:
        """Embeddings of one task's prompts, (P, D), encoded anew."""
        return learner.encode_task(self.text_tower, vocabulary.prompts, task)

    def classify_masks(
        self, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """CLIP's view of each mask, (B, N, D), and which are not empty."""
        pairs = [
            classify_crops(self.model.clip, image, logits, self.threshold)
            for image, logits in zip(images, mask_logits, strict=True)
        ]
        embeds, valid = zip(*pairs, strict=True)
        return torch.stack(embeds), torch.stack(valid)

    def _predict(
        self,
        batch_inputs: Tensor,
        samples: SampleList,
        feats: Sequence[Tensor],
        task: Task,
    ) -> list[dict]:
        """Results of one task."""
        model = self.model
        vocabulary = model._vocabulary(samples)
        metas = [sample.metainfo for sample in samples]
        query_logits, mask_logits = self.head.propose(
            feats,
            self.encode_text(model.prompt_learner, vocabulary, task),
            vocabulary,
        )
        mask_logits = mask_logits[:, None]
        clip_logits = valid = None
        if model.mask_classifier is not None and model._use_clip_scores:
            embeds, valid = self.classify_masks(
                model._to_rgb(batch_inputs),
                blank_padding(mask_logits, metas)[:, 0],
            )
            text = self.encode_text(
                model.clip_prompt or model.prompt_learner, vocabulary, task
            )
            clip_logits = model.clip.logit_scale * max_over_synonyms(
                embeds.float() @ text.T, vocabulary.prompt_to_class
            )
            clip_logits = clip_logits[:, None]
        query_logits = query_logits[:, None].float()
        class_probs = ensemble_scores(
            query_logits,
            clip_logits,
            torch.tensor(vocabulary.is_seen, device=query_logits.device),
            **model.test_cfg.ensemble,
        )
        # what post-processing leaves out; the release encodes it, too
        kept = model.panoptic_fusion_head.is_relevant(
            object_probs(query_logits), [task]
        )
        if valid is not None:
            kept = kept & valid[:, None]
        return model.panoptic_fusion_head.predict(
            kept[..., None] * class_probs,
            mask_logits,
            metas,
            vocabulary,
            [task],
        )
