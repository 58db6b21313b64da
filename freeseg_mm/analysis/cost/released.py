"""The authors' released inference, from this package's own parts.

A yardstick: what the release does for one image, with the weights of one of
our models, our decoder's loop and our post-processing, so that results equal
ours. For each task the whole head runs, text is encoded twice (for the
queries and for CLIP), and every mask is cropped and encoded. Only the
backbone runs once. Nothing is remembered between calls.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.structures import SampleList
from torch import Tensor, nn

from freeseg_mm.models.clip import FrozenCLIP, MaskClassifier, TextTower
from freeseg_mm.models.clip.crop_mask_classifier import (
    crop_mask_size,
    fit_crop_masks,
)
from freeseg_mm.models.heads.ensemble import ensemble_scores, object_probs
from freeseg_mm.models.layers import (
    SemanticContextInteraction,
    max_over_synonyms,
)
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.models.segmentors.acceleration import Acceleration
from freeseg_mm.structures import Task, Vocabulary


class StepwiseInteraction(nn.Module):
    """Semantic context interaction (Eq. 7-9) of one task, step by step.

    Every pixel is projected to full width, and the attention is spelled out.

    Args:
        interaction: The module whose parameters and options to use.
    """

    def __init__(self, interaction: SemanticContextInteraction) -> None:
        super().__init__()
        self.interaction = interaction

    def forward(
        self,
        feature_maps: Sequence[Tensor],
        text_embeds: Tensor,
        no_object: Tensor,
    ) -> list[Tensor]:
        """Enhance maps; see :meth:`SemanticContextInteraction.forward`.

        Args:
            feature_maps: Each (B, c, h, w).
            text_embeds: Unit-norm F_t of the task, (1, P, D).
            no_object: Unit-norm embedding of no object, (D,).

        Returns:
            The enhanced maps, each (B, 1, c, h, w).
        """
        interaction = self.interaction
        text = text_embeds[0]
        if interaction.no_object_key:
            text = torch.cat([text, no_object[None]])
        enhanced: list[Tensor] = []
        for feature_map in feature_maps:
            if not enhanced or interaction.cumulative_text_norm:
                text = interaction.text_norm(text)
            pixels = feature_map.flatten(2).transpose(1, 2)  # (B, hw, c)
            normed = interaction.visual_norm(pixels)
            query, key, value = (
                layer(x).unflatten(-1, (interaction.num_heads, -1))
                for layer, x in (
                    (interaction.query, normed),
                    (interaction.key, text),
                    (interaction.value, text),
                )
            )  # (B, hw, heads, c / heads), (P, heads, c / heads) twice
            scores = torch.einsum('bqhc,phc->bhqp', query, key)
            weights = (scores / query.shape[-1] ** 0.5).softmax(-1)
            attended = torch.einsum('bhqp,phc->bqhc', weights, value)
            change = interaction.output(attended.flatten(2))
            if interaction.gamma is not None:
                change = interaction.gamma * change
            if interaction.residual == 'normalized':
                change = normed + change
            elif interaction.residual:
                change = pixels + change
            enhanced.append(change.transpose(1, 2).view_as(feature_map))
        return [x[:, None] for x in enhanced]


class CropEveryMask(MaskClassifier):
    """Cut out and encode every mask of an image and task.

    Boxes are found and crops made mask by mask, the box's four edges read by
    the host; all crops are encoded, whatever their queries' scores.

    Args:
        threshold: Logit above which a pixel belongs to a mask.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    @torch.no_grad()
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks by their crops; see :meth:`MaskClassifier.forward`."""
        embeds = images.new_zeros((*mask_logits.shape[:2], clip.embed_dim))
        valid = torch.zeros(mask_logits.shape[:2], dtype=torch.bool)
        crops = []
        for index, pixels in enumerate(clip.normalize(images)):
            for place, logits in enumerate(mask_logits[index]):
                inside = logits > self.threshold
                if inside.any():
                    valid[index, place] = True
                    crops.append(self._crop(pixels, logits, inside, clip))
        valid = valid.to(images.device)
        if crops:
            found = clip.encode_images(torch.stack(crops))
            embeds[valid] = found.to(embeds.dtype)
        return embeds, valid

    def _crop(
        self, pixels: Tensor, logits: Tensor, inside: Tensor, clip: FrozenCLIP
    ) -> Tensor:
        """Crop a mask's box at CLIP's size, blank outside of the mask."""
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
        mask = fit_crop_masks(blocks[None] > self.threshold, clip.image_size)
        return crop * mask[0]


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
        vars(self).update(vars(tower))

    def encode(
        self, embeddings: Tensor, end: Tensor, prefix: Tensor | None = None
    ) -> Tensor:
        """Encode prompts; see :meth:`TextTower.encode`."""
        if prefix is not None:
            prefixes = prefix.expand(len(embeddings), -1, -1)
            embeddings = torch.cat([prefixes, embeddings], dim=1)
            end = end + len(prefix)
        missing = self.context_length - embeddings.shape[1]
        return super().encode(F.pad(embeddings, (0, 0, 0, missing)), end)


class ReleasedFlow:
    """Predict a batch the way the authors' release does.

    Args:
        model: The model whose weights to use.

    Attributes:
        model: The same weights in the released parts; never accelerated.
    """

    def __init__(self, model: FreeSeg) -> None:
        # modules of its own around the same CLIP, backbone and parameters
        shared = (
            *(model.clip, model.backbone),
            *model.parameters(),
            *model.buffers(),
        )
        self.model = copy.deepcopy(model, {id(x): x for x in shared})
        self.model.acceleration = Acceleration()
        head = self.model.panoptic_head
        if head.context_interaction is not None:
            head.context_interaction = StepwiseInteraction(
                head.context_interaction
            )
        classifier = model.mask_classifier
        if classifier is not None and not classifier.takes_full_size:
            # half a probability, where crops do not say more
            self.model.mask_classifier = CropEveryMask(
                getattr(classifier, 'threshold_logit', 0.0)
            )
        self.text_tower = FullContextTower(model.clip.text)

    @torch.no_grad()
    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> SampleList:
        """Predict all tasks; same results as :meth:`FreeSeg.predict`.

        Args:
            batch_inputs: Normalized images, (B, 3, H, W).
            batch_data_samples: With ``vocabulary``, the same in all.
        """
        feats = self.model.extract_feat(batch_inputs)
        results: list[dict] = [{} for _ in batch_data_samples]
        for task in self.model.predict_options.tasks:
            predictions = self._predict(
                batch_inputs, batch_data_samples, feats, task
            )
            for result, prediction in zip(results, predictions, strict=True):
                result.update(prediction)
        return self.model.add_pred_to_datasample(batch_data_samples, results)

    def encode_text(
        self, learner: PromptLearner, vocabulary: Vocabulary, task: Task
    ) -> Tensor:
        """Encode one task's prompts anew, (1, P, D)."""
        return learner(self.text_tower, vocabulary, [task])

    def _predict(
        self,
        batch_inputs: Tensor,
        samples: SampleList,
        feats: Sequence[Tensor],
        task: Task,
    ) -> list[dict]:
        """Results of one task."""
        model, head = self.model, self.model.panoptic_head
        fusion_head = model.panoptic_fusion_head
        metas = [sample.metainfo for sample in samples]
        vocabulary = samples[0].vocabulary
        class_logits, mask_logits = (
            layers[-1].float()
            for layers in head(
                feats,
                self.encode_text(model.prompt_learner, vocabulary, task),
                vocabulary,
            )
        )
        # what post-processing leaves out; the release encodes it, too
        options = model.predict_options.override(tasks=task)
        kept = fusion_head.is_relevant(object_probs(class_logits), options)
        clip_logits = is_empty = None
        if options.mode != 'query':
            embeds, valid = model.encode_masks(
                batch_inputs, model.masks_to_show(mask_logits, metas, options)
            )
            if options.empty_masks == 'ones':
                is_empty = ~valid
            else:
                kept = kept & valid
            text = self.encode_text(
                model.clip_prompt or model.prompt_learner, vocabulary, task
            )
            clip_logits = model.clip.logit_scale * max_over_synonyms(
                embeds @ text.transpose(-1, -2), vocabulary.prompt_to_class
            )
        class_probs = ensemble_scores(
            class_logits,
            clip_logits,
            torch.tensor(vocabulary.is_seen, device=class_logits.device),
            mode=options.mode,
            seen_weight=options.seen_weight,
            unseen_weight=options.unseen_weight,
            is_empty=is_empty,
        )
        return fusion_head.predict(
            kept[..., None] * class_probs,
            mask_logits,
            metas,
            vocabulary,
            options,
        )
