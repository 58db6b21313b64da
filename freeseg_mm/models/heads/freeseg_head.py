"""Mask proposals and their text-driven class scores (Sec. 3.1, 3.3)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.ops import point_sample
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.models.utils import get_uncertain_point_coords_with_randomness
from mmdet.registry import TASK_UTILS
from mmdet.utils import (
    ConfigType,
    OptConfigType,
    OptMultiConfig,
    reduce_mean,
)
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from freeseg_mm.models.layers import CosineClassifier, LinearClassifier
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import TaskTargets, Vocabulary
from freeseg_mm.utils.errors import DivergedError, require_whole

EXCLUDED_LOGIT = -1e4
"""Mask logit of a point that takes no part in a loss.

With target 0 both the focal and the dice term of such a point, and their
gradients, are exactly zero.
"""


@MODELS.register_module()
class FreeSegHead(Mask2FormerHead):
    """Mask2Former's proposal extractor, guided and classified by text.

    Parameter names of everything mmdet's head has are mmdet's, so a stock
    Mask2Former checkpoint fills them. New are the semantic context
    interaction on the pixel decoder's maps and, in ``cls_embed``, a cosine
    classifier for any vocabulary instead of a linear one.

    Args:
        in_channels: Channels of the backbone's maps, high to low resolution.
        feat_channels: Width of decoder features.
        out_channels: Width of mask features.
        embed_dim: Width D of the text embeddings.
        pixel_decoder: Config of ``mmdet.MSDeformAttnPixelDecoder``.
        transformer_decoder: Config of mmdet's Mask2Former decoder.
        logit_scale: Factor of the cosine in class logits; CLIP's own.
        num_queries: Mask proposals N.
        num_transformer_feat_level: Maps the decoder attends to in turn.
        positional_encoding: Config of the decoder's sine encoding.
        context_interaction: Config of the interaction (Sec. 3.3), or
            ``None`` for none (Table 4): then queries and masks do not
            depend on text, and all tasks share one decoder pass.
        classifier: Further arguments of :class:`CosineClassifier`; a
            ``temperature`` here replaces ``logit_scale``.
        pool_mask_features: Whether queries are classified by what the mask
            features hold inside their masks as well (FC-CLIP): its mean,
            through a norm and a linear layer, is added to the query.
        closed_vocabulary: Built-in name or path of the classes that a
            closed-set Mask2Former was trained on, in its order. Its linear
            classifier is then kept (:class:`LinearClassifier`), and
            ``classifier`` has no effect.
        no_object_weight: Weight of unmatched queries in L_cla.
        with_cp: Whether the activations of pixel decoder and interaction are
            made again in the backward pass, not kept: less memory, and
            time of another forward pass of both. mmengine's
            ``activation_checkpointing`` would lose their gradients, as it
            does not look into lists of maps.
        loss_cls: Config of L_cla. Its class weights follow the vocabulary,
            so it must not set ``class_weight``.
        loss_mask: Config of L_F, on points.
        loss_dice: Config of L_D, on points.
        train_cfg: ``assigner`` (matching costs), ``num_points``,
            ``oversample_ratio``, ``importance_sample_ratio`` as in mmdet;
            ``all_pixels``: whether mask losses are on all pixels of the
            labels and matching on all of the masks (as released), not on
            points;
            ``ignore_query_overlap``: an unmatched query with more than
            this share of its mask on unlabelled pixels is not pushed
            towards no-object (``None``: all are, as released);
            ``unlabelled_is_negative``: whether unlabelled pixels are
            outside of every mask (as released) rather than in no loss;
            ``class_mean_per_process``: whether L_cla is averaged over the
            queries of a process (as released) rather than of all; and
            ``supervise_last_but_one``: whether the decoder layer before the
            last has losses (as released it has none).
        test_cfg: Not used here; mmdet passes it to every head.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``loss_cls`` sets ``class_weight``, or ``num_points``
            is no whole number from 1.
    """

    def __init__(
        self,
        *,
        in_channels: list[int],
        feat_channels: int,
        out_channels: int,
        embed_dim: int,
        pixel_decoder: ConfigType,
        transformer_decoder: ConfigType,
        positional_encoding: ConfigType,
        loss_cls: ConfigType,
        loss_mask: ConfigType,
        loss_dice: ConfigType,
        logit_scale: float = 100.0,
        num_queries: int = 100,
        num_transformer_feat_level: int = 3,
        context_interaction: OptConfigType = None,
        classifier: OptConfigType = None,
        pool_mask_features: bool = False,
        closed_vocabulary: str | None = None,
        no_object_weight: float = 0.1,
        with_cp: bool = False,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if loss_cls.get('class_weight') is not None:
            raise ValueError(
                'loss_cls.class_weight has one entry per class, and the '
                'classes follow the vocabulary; set no_object_weight instead'
            )
        super().__init__(
            in_channels=in_channels,
            feat_channels=feat_channels,
            out_channels=out_channels,
            num_things_classes=0,
            num_stuff_classes=0,
            num_queries=num_queries,
            num_transformer_feat_level=num_transformer_feat_level,
            pixel_decoder=pixel_decoder,
            transformer_decoder=transformer_decoder,
            positional_encoding=positional_encoding,
            loss_cls=ConfigDict(loss_cls, class_weight=None),
            loss_mask=loss_mask,
            loss_dice=loss_dice,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.no_object_weight = no_object_weight
        self.with_cp = with_cp
        self.cls_embed: CosineClassifier | LinearClassifier
        if closed_vocabulary is None:
            self.cls_embed = CosineClassifier(
                feat_channels=feat_channels,
                embed_dim=embed_dim,
                **{'temperature': logit_scale, **(classifier or {})},
            )
        else:
            self.cls_embed = LinearClassifier(
                feat_channels, Vocabulary.load(closed_vocabulary)
            )
        self.mask_pooling: nn.Module | None = None
        if pool_mask_features:
            self.mask_pooling = nn.Sequential(
                nn.LayerNorm(out_channels),
                nn.Linear(out_channels, feat_channels),
            )
        self.context_interaction = None
        if context_interaction is not None:
            self.context_interaction = MODELS.build(
                {
                    **context_interaction,
                    'feat_channels': feat_channels,
                    'embed_dim': embed_dim,
                }
            )
        self.train_cfg = train_cfg
        if train_cfg:
            self.assigner = TASK_UTILS.build(train_cfg['assigner'])
            self.num_points = train_cfg['num_points']
            require_whole('train_cfg.num_points', self.num_points, 1)
            self.oversample_ratio = train_cfg['oversample_ratio']
            self.importance_sample_ratio = train_cfg['importance_sample_ratio']
            self.ignore_query_overlap = train_cfg['ignore_query_overlap']
            self.all_pixels = train_cfg.get('all_pixels', False)
            self.unlabelled_is_negative = train_cfg.get(
                'unlabelled_is_negative', False
            )
            self.class_mean_per_process = train_cfg.get(
                'class_mean_per_process', False
            )
            self.supervise_last_but_one = train_cfg.get(
                'supervise_last_but_one', True
            )

    def forward(
        self,
        feats: Sequence[Tensor],
        text_embeds: Tensor,
        vocabulary: Vocabulary,
        every_layer: bool = True,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Propose masks and classify them, for all tasks at once.

        The pixel decoder runs once an image, interaction and decoder once
        on a batch of B * T.

        Args:
            feats: Backbone maps, each (B, c, h, w).
            text_embeds: Unit-norm F_t of T tasks, (T, P, D).
            vocabulary: The C classes, P names.
            every_layer: Whether to classify after every decoder layer, as
                training needs, or only after the last.

        Returns:
            Class logits, each (B, T, N, C + 1) with no-object last, and mask
            logits, each (B, T, N, h, w) at stride 4; one entry for each
            prediction, the final one last. Without interaction the mask
            logits have T = 1.
        """
        query_feats, mask_logits = self.propose(
            self.pixel_maps(feats), text_embeds, every_layer
        )
        return [
            self.cls_embed(x, text_embeds, vocabulary) for x in query_feats
        ], mask_logits

    def pixel_maps(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the pixel decoder, which do not depend on text.

        Args:
            feats: Backbone maps, each (B, c, h, w).

        Returns:
            Maps to attend to, low to high resolution, then the mask
            features, each (B, c, h, w).
        """
        mask_features, maps = self._run(self.pixel_decoder, list(feats))
        return [*maps[: self.num_transformer_feat_level], mask_features]

    def propose(
        self,
        pixel_maps: list[Tensor],
        text_embeds: Tensor,
        every_layer: bool = True,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Let the maps see the text and decode queries and masks.

        Args:
            pixel_maps: As :meth:`pixel_maps` gives them.
            text_embeds: Unit-norm F_t of T tasks, (T, P, D).
            every_layer: Whether to return those of all layers, or only of
                the last.

        Returns:
            Query features to classify (B, T, N, c) and mask logits (B, T, N,
            h, w) before the first and after each decoder layer; without
            interaction T = 1.
        """
        batch, tasks = len(pixel_maps[-1]), 1
        if self.context_interaction is not None:
            tasks = len(text_embeds)
            no_object = None
            if isinstance(self.cls_embed, CosineClassifier):
                no_object = self.cls_embed.unit_no_object
            pixel_maps = [
                x.flatten(0, 1)  # (B * T, c, h, w)
                for x in self._run(
                    self.context_interaction,
                    pixel_maps,
                    text_embeds,
                    no_object,
                )
            ]
        *maps, mask_features = pixel_maps
        query_feats, mask_logits = self._decode(maps, mask_features)
        if not every_layer:
            query_feats, mask_logits = query_feats[-1:], mask_logits[-1:]
        if self.mask_pooling is not None:
            query_feats = [
                query + self.mask_pooling(pool_under(masks, mask_features))
                for query, masks in zip(query_feats, mask_logits, strict=True)
            ]
        return (
            [x.reshape(batch, tasks, *x.shape[1:]) for x in query_feats],
            [x.reshape(batch, tasks, *x.shape[1:]) for x in mask_logits],
        )

    def _run(self, module: nn.Module, *inputs: Any) -> Any:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(module, *inputs, use_reentrant=False)
        return module(*inputs)

    def _decode(
        self, maps: list[Tensor], mask_features: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run the masked-attention decoder.

        Args:
            maps: Maps to attend to, low to high resolution, (B, c, h, w).
            mask_features: (B, c, H/4, W/4).

        Returns:
            Normed query features (B, N, c) and mask logits (B, N, H/4, W/4)
            before the first and after each layer.
        """
        batch = len(mask_features)
        keys, key_positions = [], []
        for level, x in enumerate(maps):
            key = self.decoder_input_projs[level](x).flatten(2).transpose(1, 2)
            keys.append(key + self.level_embed.weight[level])
            no_padding = x.new_zeros((1, *x.shape[-2:]), dtype=torch.bool)
            position = self.decoder_positional_encoding(no_padding)
            key_positions.append(
                position.flatten(2).transpose(1, 2).expand_as(key)
            )

        query = self.query_feat.weight.expand(batch, -1, -1)
        query_pos = self.query_embed.weight.expand(batch, -1, -1)
        query_feats: list[Tensor] = []
        mask_logits: list[Tensor] = []
        for index in range(self.num_transformer_decoder_layers + 1):
            if index > 0:
                level = (index - 1) % len(maps)
                query = self.transformer_decoder.layers[index - 1](
                    query=query,
                    key=keys[level],
                    value=keys[level],
                    query_pos=query_pos,
                    key_pos=key_positions[level],
                    cross_attn_mask=self._attention_mask(
                        mask_logits[-1], maps[level].shape[-2:]
                    ),
                )
            normed = self.transformer_decoder.post_norm(query)
            query_feats.append(normed)
            mask_logits.append(
                torch.einsum(
                    'bnc,bchw->bnhw', self.mask_embed(normed), mask_features
                )
            )
        return query_feats, mask_logits

    @torch.no_grad()
    def _attention_mask(self, mask_logits: Tensor, size: torch.Size) -> Tensor:
        """Block what a query's mask leaves out, unless that is everything.

        Returns:
            True where attention is blocked, (B * heads, N, h * w).
        """
        resized = F.interpolate(mask_logits, size, mode='bilinear')
        blocked = resized.flatten(2) < 0
        blocked = blocked & ~blocked.all(dim=-1, keepdim=True)
        return blocked.repeat_interleave(self.num_heads, dim=0)

    def loss(
        self,
        feats: Sequence[Tensor],
        text_embeds: Tensor,
        vocabulary: Vocabulary,
        batch_targets: list[TaskTargets],
    ) -> dict[str, Tensor]:
        """Losses of one task's batch (Eq. 1, 3), at every decoder layer.

        Args:
            feats: Backbone maps, each (B, c, h, w).
            text_embeds: Unit-norm F_t of the task, (1, P, D), with gradient
                to the prompts.
            vocabulary: The C classes, P names.
            batch_targets: Masks and labels of each image.

        Returns:
            ``loss_cls``, ``loss_mask``, ``loss_dice`` of the last layer and
            ``d{i}.loss_*`` of the others, as mmdet names them.
        """
        class_logits, mask_logits = self(feats, text_embeds, vocabulary)
        if not self.supervise_last_but_one:
            del class_logits[-2], mask_logits[-2]
        if self.unlabelled_is_negative:
            batch_targets = [
                replace(targets, valid=torch.ones_like(targets.valid))
                for targets in batch_targets
            ]
        return self.loss_by_feat(
            [x.squeeze(1).float() for x in class_logits],
            [x.squeeze(1).float() for x in mask_logits],
            batch_targets,
            [{}] * len(batch_targets),
        )

    def _loss_by_feat_single(
        self,
        cls_scores: Tensor,
        mask_preds: Tensor,
        batch_gt_instances: list[TaskTargets],
        batch_img_metas: list[dict],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses of one decoder layer; unlabelled pixels take no part.

        Args:
            cls_scores: Class logits, (B, N, C + 1).
            mask_preds: Mask logits, (B, N, h, w).
            batch_gt_instances: Targets of each image.
            batch_img_metas: Not used; mmdet's signature.
        """
        no_object = cls_scores.shape[-1] - 1
        labels = torch.full_like(
            cls_scores[..., 0], no_object, dtype=torch.long
        )
        weights = torch.full_like(cls_scores[..., 0], self.no_object_weight)
        valid = torch.stack([targets.valid for targets in batch_gt_instances])
        matched_logits, matched_masks = [], []
        matches = self._match(
            cls_scores.detach(), mask_preds.detach(), batch_gt_instances, valid
        )
        for index, (queries, objects, ignored) in enumerate(matches):
            targets = batch_gt_instances[index]
            weights[index, ignored] = 0.0
            weights[index, queries] = 1.0
            labels[index, queries] = targets.labels[objects]
            matched_logits.append(mask_preds[index, queries])
            matched_masks.append(targets.masks[objects])

        total_weight = weights.sum()
        if not self.class_mean_per_process:
            total_weight = reduce_mean(total_weight)
        loss_cls = self.loss_cls(
            cls_scores.flatten(0, 1),
            labels.flatten(),
            weights.flatten(),
            avg_factor=total_weight.clamp(min=1e-6),
        )
        loss_mask, loss_dice = self._mask_losses(
            torch.cat(matched_logits),
            torch.cat(matched_masks),
            valid,
            [len(queries) for queries, _, _ in matches],
        )
        return loss_cls, loss_mask, loss_dice

    def _mask_losses(
        self, logits: Tensor, masks: Tensor, valid: Tensor, counts: list[int]
    ) -> tuple[Tensor, Tensor]:
        """L_F and L_D (Eq. 1) of G matched masks, on points or all pixels.

        Where not one point of a mask is labelled, as on specks and strips,
        new ones are drawn from the labelled pixels' centres.

        Args:
            logits: (G, h, w).
            masks: (G, H, W), bool.
            valid: Labelled pixels of the images, (B, H, W), bool.
            counts: Number of masks of each image; G in all.
        """
        image_of = [i for i, count in enumerate(counts) for _ in range(count)]
        num_masks = reduce_mean(logits.new_tensor(float(len(logits))))
        num_masks = num_masks.clamp(min=1.0)
        if len(logits) == 0:
            # keeps every parameter in the graph, as DDP demands
            nothing = logits.sum()
            return nothing, nothing
        if self.all_pixels:
            size = masks.shape[-2:]
            full = F.interpolate(logits[None], size, mode='bilinear')[0]
            excluded = ~valid[image_of].flatten(1)
            return self._mask_terms(
                full.flatten(1), masks.flatten(1), excluded, num_masks
            )
        with torch.no_grad():
            points = get_uncertain_point_coords_with_randomness(
                logits[:, None],
                None,
                self.num_points,
                self.oversample_ratio,
                self.importance_sample_ratio,
            )
            # one map an image, not one a mask
            labelled = [
                _is_labelled(
                    _sample(~one[None, None], part.flatten(0, 1)[None])
                )
                for one, part in zip(valid, points.split(counts), strict=True)
                if len(part)
            ]
            excluded = ~torch.cat(labelled, dim=2).view(len(points), -1)
            can_learn = valid.flatten(1).any(dim=1)[image_of]
            unlearned = excluded.all(dim=1) & can_learn
            for index in unlearned.nonzero().flatten().tolist():
                points[index] = _labelled_centres(
                    valid[image_of[index]], points.shape[1]
                )
                excluded[index] = False
            point_masks = _sample(masks[:, None], points)[:, 0]
        return self._mask_terms(
            _sample(logits[:, None], points)[:, 0],
            point_masks,
            excluded,
            num_masks,
        )

    def _mask_terms(
        self,
        logits: Tensor,
        masks: Tensor,
        excluded: Tensor,
        num_masks: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """L_F and L_D at given places.

        Args:
            logits: (G, K).
            masks: (G, K), bool or in [0, 1].
            excluded: Places that take no part, (G, K), bool.
            num_masks: Divisor of both sums, a scalar.
        """
        masks = masks.float().masked_fill(excluded, 0.0)
        logits = logits.masked_fill(excluded, EXCLUDED_LOGIT)
        loss_dice = self.loss_dice(logits, masks, avg_factor=num_masks)
        loss_mask = self.loss_mask(
            logits.flatten(),
            masks.flatten(),
            avg_factor=num_masks * logits.shape[1],
        )
        return loss_mask, loss_dice

    @torch.no_grad()
    def _match(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        batch_targets: list[TaskTargets],
        valid: Tensor,
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Assign queries to masks on labelled places, image by image.

        Where not one point of an image is labelled, as on specks and strips,
        its masks are compared at centres of labelled pixels; without any,
        the classes alone decide.

        Args:
            class_logits: (B, N, C + 1).
            mask_logits: (B, N, h, w).
            batch_targets: Targets of each image.
            valid: Their labelled pixels, (B, H, W), bool.

        Returns:
            Of each image the matched queries and their masks, (G,) each, and
            which queries lie on unlabelled pixels, (N,) bool.

        Raises:
            DivergedError: If the costs are not finite.
        """
        points = None
        if self.all_pixels:
            size = mask_logits.shape[-2:]
            predicted = mask_logits.flatten(2)
            labelled = _nearest(valid, size).flatten(1) > 0
        else:
            points = torch.rand(
                len(valid), self.num_points, 2, device=valid.device
            )
            predicted = _sample(mask_logits, points)  # (B, N, points)
            labelled = _is_labelled(_sample(~valid[:, None], points)[:, 0])
        inside = predicted > 0
        overlap = (inside & ~labelled[:, None]).sum(2) / inside.sum(2).clamp(1)
        limit = self.ignore_query_overlap
        ignored = overlap > (1.0 if limit is None else limit)
        matches = []
        for index, targets in enumerate(batch_targets):
            if points is None:
                masks = _nearest(targets.masks, size).flatten(1)
            else:
                masks = _sample(targets.masks[None], points[index, None])[0]
            compared = predicted[index][:, labelled[index]]
            masks = masks[:, labelled[index]]
            if compared.shape[1] == 0:
                centres = _labelled_centres(targets.valid, self.num_points)
                compared = _sample(mask_logits[index, None], centres[None])[0]
                masks = _sample(targets.masks[None], centres[None])[0]
            matches.append(
                (
                    *self._assign(
                        class_logits[index], compared, targets, masks
                    ),
                    ignored[index],
                )
            )
        return matches

    def _assign(
        self,
        class_logits: Tensor,
        compared: Tensor,
        targets: TaskTargets,
        masks: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Pair queries with an image's masks at K places, see :meth:`_match`.

        Args:
            class_logits: (N, C + 1).
            compared: Mask logits, (N, K).
            targets: Of the image.
            masks: Its masks, (G, K), in [0, 1].
        """
        if compared.shape[1] == 0:
            compared = compared.new_full((len(compared), 1), EXCLUDED_LOGIT)
            masks = compared.new_zeros(len(masks), 1)
        try:
            assigned = self.assigner.assign(
                pred_instances=InstanceData(
                    scores=class_logits, masks=compared
                ),
                gt_instances=InstanceData(labels=targets.labels, masks=masks),
            ).gt_inds
        except ValueError as error:  # SciPy's, of such a matrix
            if class_logits.isfinite().all() and compared.isfinite().all():
                raise
            raise DivergedError.of(
                'matching costs of queries and masks'
            ) from error
        queries = assigned.nonzero().squeeze(1)
        return queries, assigned[queries] - 1

    def predict(
        self,
        feats: Sequence[Tensor],
        text_embeds: Tensor,
        vocabulary: Vocabulary,
    ) -> tuple[Tensor, Tensor]:
        """Class logits and mask logits of the last layer.

        Returns:
            (B, T, N, C + 1) and (B, T, N, h, w), the latter with T = 1
            where all tasks share their masks.
        """
        class_logits, mask_logits = self(
            feats, text_embeds, vocabulary, every_layer=False
        )
        return class_logits[-1], mask_logits[-1]


def pool_under(mask_logits: Tensor, maps: Tensor) -> Tensor:
    """Mean of maps inside of masks.

    Args:
        mask_logits: (B, N, h, w); a mask is where they are positive.
        maps: (B, c, h, w).

    Returns:
        (B, N, c); 0 for empty masks.
    """
    inside = (mask_logits.detach() > 0).float()
    weights = inside / (inside.sum((-2, -1), keepdim=True) + 1e-8)
    return torch.einsum('bnhw,bchw->bnc', weights.to(maps.dtype), maps)


def _sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of (B, M, h, w) maps at (B, K, 2) points, (B, M, K)."""
    return point_sample(maps.float(), points)


def _nearest(masks: Tensor, size: torch.Size) -> Tensor:
    """(M, H, W) masks at another size, by the nearest pixel, float."""
    return F.interpolate(masks[None].float(), size, mode='nearest')[0]


def _labelled_centres(valid: Tensor, count: int) -> Tensor:
    """Centres of labelled pixels of (H, W), drawn anew, (count or 0, 2)."""
    pixels = valid.nonzero()
    if len(pixels):
        drawn = torch.randint(len(pixels), (count,), device=valid.device)
        pixels = pixels[drawn]
    return ((pixels + 0.5) / pixels.new_tensor(valid.shape)).flip(1)


def _is_labelled(unlabelled: Tensor) -> Tensor:
    """Mark points whose value mixes labelled pixels alone.

    Args:
        unlabelled: Share of unlabelled pixels in the value; outside of the
            image, where it is sampled as 0, counts as labelled.
    """
    return unlabelled < 1e-4
