"""The authors' released inference, from this package's own parts.

A yardstick: what the release does for one image, with the weights of one of
our models and our own post-processing, so that results equal ours. For each
task the whole head runs, text is encoded twice (for the queries and for
CLIP's view), and every mask is cropped and encoded. Only the backbone runs
once. Nothing is remembered between calls.
"""

from collections.abc import Sequence

import torch
from mmdet.structures import SampleList
from torch import Tensor

from freeseg_mm.models.heads.ensemble import ensemble_scores, object_probs
from freeseg_mm.models.layers import best_of_prompts
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.models.segmentors.batch import blank_padding
from freeseg_mm.structures import Task, Vocabulary

from .released_crops import classify_crops
from .released_head import ReleasedHead
from .released_text import FullContextTower


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
            answers = self._answer(
                batch_inputs, batch_data_samples, feats, task
            )
            for result, answer in zip(results, answers, strict=True):
                result.update(answer)
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

    def _answer(
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
            vocabulary.class_of_prompt,
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
            clip_logits = model.clip.logit_scale * best_of_prompts(
                embeds.float() @ text.T, vocabulary.class_of_prompt
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
        kept = model.panoptic_fusion_head.matters(
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
