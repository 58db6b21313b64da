"""FreeSeg: one network, three tasks, any vocabulary (Sec. 3)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from mmdet.models.detectors import MaskFormer
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from freeseg_mm.models.clip import CLIPBackbone, FrozenCLIP, MaskClassifier
from freeseg_mm.models.clip.mask_classifier import PADDING_LOGIT
from freeseg_mm.models.heads.ensemble import (
    ensemble_scores,
    object_probs,
    score_examples,
)
from freeseg_mm.models.heads.mask_results import enlarge_masks
from freeseg_mm.models.layers import CosineClassifier, max_over_synonyms
from freeseg_mm.models.predict_options import (
    PredictOptions,
    PredictOverrides,
    refuse_unknown,
)
from freeseg_mm.models.prompt_tuning import ScoredQueries
from freeseg_mm.models.prompts import (
    PromptLearner,
    beside_text,
    build_prompts,
    check_prompt_files,
    text_dim,
)
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import (
    Task,
    TaskTargets,
    Vocabulary,
    check_num_negatives,
    task_targets,
)
from freeseg_mm.utils.scopes import full_precision

from .acceleration import Acceleration
from .batch import (
    CERTAINTY,
    against_negatives,
    batch_vocabulary,
    blank_padding,
    shared_value,
)
from .checks import check_clip_loss, check_prediction, check_preprocessor
from .raw_prediction import ScoredMasks
from .text_cache import TextCache

if TYPE_CHECKING:
    from typing_extensions import Unpack

TRAIN_KEYS = (
    'assigner',
    'num_points',
    'oversample_ratio',
    'importance_sample_ratio',
    'ignore_query_overlap',
    'all_pixels',
    'unlabelled_is_negative',
    'class_mean_per_process',
    'supervise_last_but_one',
    'num_negative_classes',
    'clip_loss_weight',
)
RESULT_FIELDS = {
    Task.SEMANTIC: 'pred_sem_seg',
    Task.INSTANCE: 'pred_instances',
    Task.PANOPTIC: 'pred_panoptic_seg',
}


@MODELS.register_module()
class FreeSeg(MaskFormer):
    """Two-stage open-vocabulary segmentation (Fig. 2).

    Mask proposals guided by text, then classified by the cosine with text
    and, at test time, by CLIP's view of each mask. Vocabulary and task
    come with the data samples.

    Args:
        backbone: Config of the backbone, maps at strides 4 to 32. A
            ``CLIPBackbone`` is given the network's own CLIP.
        panoptic_head: Config of ``FreeSegHead``; its ``embed_dim``
            and ``logit_scale`` are CLIP's and are filled in here.
        panoptic_fusion_head: Config of ``FreeSegFusionHead``.
        clip: Config of ``FrozenCLIP``.
        prompt_learner: Config of ``AdaptivePromptLearner`` or
            ``FixedPrompt``; widths are filled in here.
        mask_classifier: Config of how CLIP scores masks, or ``None`` if
            CLIP shall not (then ``test_cfg.ensemble.mode`` is ``query``).
        clip_prompt: Config of the prompts that CLIP's view is compared
            with; ``None`` takes those of ``prompt_learner``.
        neck: Config of a neck, usually none.
        train_cfg: See ``FreeSegHead``; further ``num_negative_classes``, how
            many classes beside a batch's own a step is trained against,
            drawn anew each time (``None``: all classes of the vocabulary,
            as in the paper), and ``clip_loss_weight``, of the loss by which
            prompts also learn to name what CLIP sees of the ground truth's
            masks (0: none, as in the paper); it has CLIP encode each mask.
        test_cfg: See :meth:`PredictOptions.from_config`.
        data_preprocessor: Config of the preprocessor; its mean, std and
            channel order turn inputs back into RGB for CLIP.
        text_cache_dir: Folder that keeps text embeddings between runs, so
            that names once read cost nothing; see :class:`TextCache`.
        acceleration: Arguments of :class:`Acceleration`: precision,
            channels_last, compile.
        init_cfg: See mmengine's ``BaseModule``.
        pretrained: Only ``None``, which mmseg's ``init_model`` gives to every
            model; a backbone names its weights in its own ``init_cfg``.

    Attributes:
        vocabulary: Classes to find in samples that name none, before the
            checkpoint's own; see :meth:`set_defaults`.
        predict_options: Options of samples that bring none.

    Raises:
        TypeError: If ``train_cfg`` or ``test_cfg`` has an unknown key, which
            would have no effect.
        ValueError: If ``pretrained`` is given, CLIP scores are asked for
            without a ``mask_classifier``, a number in ``train_cfg`` is out
            of range, or ``clip_loss_weight`` is given to prompts that learn
            nothing or that CLIP's view is not compared with.
    """

    def __init__(
        self,
        *,
        backbone: ConfigType,
        panoptic_head: ConfigType,
        panoptic_fusion_head: ConfigType,
        clip: ConfigType,
        prompt_learner: ConfigType,
        mask_classifier: OptConfigType = None,
        clip_prompt: OptConfigType = None,
        neck: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        text_cache_dir: str | None = None,
        acceleration: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
        pretrained: None = None,
    ) -> None:
        if pretrained is not None:
            raise ValueError(
                f'model.pretrained={pretrained!r} would have no effect; give '
                'the file as model.backbone.init_cfg.checkpoint'
            )
        refuse_unknown('model.train_cfg', train_cfg or (), TRAIN_KEYS)
        predict_options = PredictOptions.from_config(test_cfg or {})
        frozen_clip: FrozenCLIP = MODELS.build(clip)
        head = panoptic_head.deepcopy()
        head.embed_dim = text_dim(prompt_learner, frozen_clip)
        head.logit_scale = frozen_clip.logit_scale
        kind = backbone['type']
        if (MODELS.get(kind) if isinstance(kind, str) else kind) is (
            CLIPBackbone
        ):
            backbone = {**backbone, 'clip': frozen_clip}
        super().__init__(
            backbone=backbone,
            neck=neck,
            panoptic_head=head,
            panoptic_fusion_head=panoptic_fusion_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        check_preprocessor(self.data_preprocessor)
        self.clip = frozen_clip
        if isinstance(self.backbone, CLIPBackbone):
            self.backbone.check_inputs(self.data_preprocessor)
        self.prompt_learner = build_prompts(prompt_learner, self.clip)
        self.clip_prompt: PromptLearner | None = None
        if clip_prompt is not None:
            self.clip_prompt = build_prompts(clip_prompt, self.clip)
        self.mask_classifier: MaskClassifier | None = None
        if mask_classifier is not None:
            self.mask_classifier = MODELS.build(mask_classifier)
            self.mask_classifier.check(self.clip)
            if self.mask_classifier.uses_backbone_map and (
                neck is not None or not isinstance(self.backbone, CLIPBackbone)
            ):
                raise ValueError(
                    "mask_classifier.source='backbone' needs the last map of "
                    f'a CLIPBackbone, got {type(self.backbone).__name__} and '
                    f'neck {neck}; set it to "images", or the backbone to '
                    'freeseg_mm.CLIPBackbone without a neck'
                )
        self.num_negative_classes = (train_cfg or {}).get(
            'num_negative_classes'
        )
        if self.num_negative_classes is not None:
            check_num_negatives(self.num_negative_classes)
        self.clip_loss_weight = (train_cfg or {}).get('clip_loss_weight', 0.0)
        check_clip_loss(
            self.clip_loss_weight,
            self.prompt_learner,
            has_view=self.mask_classifier is not None,
            reads_it=self.clip_prompt is None,
        )
        self.vocabulary: Vocabulary | None = None
        self._text_cache = TextCache(text_cache_dir)
        self.acceleration = Acceleration(**(acceleration or {}))
        self.acceleration.prepare(self.backbone, self.clip.clip.visual)
        self.predict_options = predict_options
        self.check_options(predict_options)

    @property
    def _learners(self) -> list[PromptLearner]:
        """The queries' prompts, and CLIP's if it has others."""
        both = (self.prompt_learner, self.clip_prompt)
        return [learner for learner in both if learner is not None]

    def init_weights(self) -> None:
        """Initialise the weights, after a look at files of prompts.

        Raises:
            FileNotFoundError: See :func:`check_prompt_files`.
            ValueError: See :func:`check_prompt_files`.
        """
        for learner in self._learners:
            check_prompt_files(learner, self.clip)
        super().init_weights()

    def train(self, mode: bool = True) -> 'FreeSeg':
        """Set the mode; parameters may have been swapped, so forget text."""
        super().train(mode)
        self._text_cache.clear()
        if self.predict_options.tuner is not None:
            self.predict_options.tuner.reset()
        return self

    def set_defaults(
        self,
        vocabulary: Vocabulary | None = None,
        **options: 'Unpack[PredictOverrides]',
    ) -> None:
        """Set what samples are predicted with that say nothing themselves.

        For inference functions that know nothing of vocabularies and tasks.

        Args:
            vocabulary: Classes to find; ``None`` leaves them as they are.
            **options: See :meth:`PredictOptions.override`.

        Raises:
            TypeError: See :meth:`check_options`.
            ValueError: See there, and if CLIP cannot read a name.
        """
        changed = self.predict_options.override(**options)
        self.check_options(changed)
        if vocabulary is not None:
            self.check_vocabulary(changed.competing(vocabulary), changed)
            self.vocabulary = vocabulary
        self.predict_options = changed

    def check_options(self, options: PredictOptions) -> None:
        """Refuse options that ask for parts that the model does not have.

        Raises:
            TypeError: If prompts shall be tuned and there is no class
                prompt, or names be read in sentences by a learner that has
                prompts of its own.
            ValueError: If CLIP's scores are asked for without a
                ``mask_classifier``.
        """
        check_prediction(
            options,
            self._learners,
            has_view=self.mask_classifier is not None,
            compares=isinstance(
                self.panoptic_head.cls_embed, CosineClassifier
            ),
        )

    def check_vocabulary(
        self, vocabulary: Vocabulary, options: PredictOptions | None = None
    ) -> None:
        """Refuse names that CLIP cannot read, before anything is computed.

        Args:
            vocabulary: The names.
            options: With the sentences around them; default
                :attr:`predict_options`.

        Raises:
            ValueError: If a name is too long for CLIP's context.
        """
        templates = (options or self.predict_options).templates
        for learner in self._learners:
            if templates is not None:
                learner = learner.reworded(templates)
            learner.check_lengths(self.clip.text, vocabulary, tuple(Task))

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of one batch, which has one task (Eq. 3).

        Args:
            batch_inputs: Normalised images, (B, 3, H, W).
            batch_data_samples: With ``task``, ``vocabulary``, ``segments``
                and ``gt_sem_seg.sem_seg``, the segment map (1, H, W).

        Returns:
            See :meth:`FreeSegHead.loss`; with ``clip_loss_weight`` also
            ``loss_clip``, the cross entropy of CLIP's view of the targets.

        Raises:
            ValueError: If samples differ in task or vocabulary.
        """
        vocabulary = self._vocabulary(batch_data_samples)
        task = Task(shared_value('task', batch_data_samples))
        batch_segments = [sample.segments for sample in batch_data_samples]
        if self.num_negative_classes is not None:
            vocabulary, batch_segments = against_negatives(
                vocabulary, batch_segments, self.num_negative_classes
            )
        targets = [
            task_targets(
                sample.gt_sem_seg.sem_seg[0], segments, vocabulary, task
            )
            for sample, segments in zip(
                batch_data_samples, batch_segments, strict=True
            )
        ]
        feats = self.extract_feat(batch_inputs)
        text = self._train_text(vocabulary, task)
        losses = self.panoptic_head.loss(feats, text, vocabulary, targets)
        if self.clip_loss_weight:
            losses['loss_clip'] = self.clip_loss_weight * self._clip_loss(
                batch_inputs, feats[-1], text, vocabulary, targets
            )
        return losses

    def _clip_loss(
        self,
        batch_inputs: Tensor,
        last_map: Tensor,
        text: Tensor,
        vocabulary: Vocabulary,
        targets: Sequence[TaskTargets],
    ) -> Tensor:
        """Cross entropy of what CLIP sees in the masks of the ground truth.

        Args:
            batch_inputs: Normalised images, (B, 3, H, W).
            last_map: The backbone's last map of them.
            text: Of one task, (1, P, D), with gradient.
            vocabulary: The C classes.
            targets: Masks, (G, H, W), and labels of each image.

        Returns:
            The mean over all masks, 0 where there is none.
        """
        masks = pad_sequence([x.masks for x in targets], batch_first=True)
        labels = pad_sequence([x.labels for x in targets], batch_first=True)
        with torch.no_grad():
            embeds, is_shown = self.encode_masks(
                batch_inputs,
                CERTAINTY * (masks[:, None].float() - 0.5),
                last_map=last_map,
            )
        with full_precision(text.device):
            logits = self._clip_logits(embeds, text.float(), vocabulary)
        logits = logits[is_shown]
        # a mean over none is NaN
        return F.cross_entropy(
            logits, labels[:, None][is_shown], reduction='sum'
        ) / max(1, len(logits))

    @torch.no_grad()
    def predict(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
        options: PredictOptions | None = None,
    ) -> SampleList:
        """Predict all asked-for tasks, from one pass of the backbone.

        Args:
            batch_inputs: Normalised images, (B, 3, H, W).
            batch_data_samples: With ``vocabulary``; without one the
                checkpoint's own (``dataset_meta``) is taken.
            rescale: Whether results have the original images' size.
            options: Of this call; default those that the samples bring as
                ``predict_options`` (or, there, a dictionary of what differs
                from the model's), else the model's.

        Returns:
            The samples with ``pred_sem_seg``, ``pred_instances`` and
            ``pred_panoptic_seg``; see :class:`FreeSegFusionHead`. With
            ``raw`` in the options also ``raw``, a :class:`RawPrediction` by
            task.

        Raises:
            TypeError: See :meth:`check_options`.
            ValueError: See there, and if samples differ in vocabulary or
                options, or have no vocabulary.
        """
        options, vocabulary = self.call_of(batch_data_samples, options)
        metas = [sample.metainfo for sample in batch_data_samples]
        scored = self.score_masks(batch_inputs, metas, vocabulary, options)
        results = self.panoptic_fusion_head.predict(
            scored.class_probs,
            scored.mask_logits,
            metas,
            vocabulary,
            options,
            rescale,
        )
        if options.raw:
            raw = scored.raw(metas, vocabulary, options, rescale)
            for sample, scores in zip(batch_data_samples, raw, strict=True):
                sample.set_field(scores, 'raw')
        return self.add_pred_to_datasample(batch_data_samples, results)

    def call_of(
        self, samples: SampleList, options: PredictOptions | None = None
    ) -> tuple[PredictOptions, Vocabulary]:
        """Options and competing classes of a batch; see :meth:`predict`."""
        if options is None:
            options = self._options(samples)
        self.check_options(options)
        return options, options.competing(self._vocabulary(samples))

    @torch.no_grad()
    def score_masks(
        self,
        batch_inputs: Tensor,
        metas: Sequence[dict],
        vocabulary: Vocabulary,
        options: PredictOptions,
    ) -> ScoredMasks:
        """Propose masks and score them by all views, before any result.

        Args:
            batch_inputs: Normalised images, (B, 3, H, W).
            metas: ``batch_input_shape`` and ``img_shape`` of each image.
            vocabulary: The C classes, negatives last.
            options: Tasks, ensemble and thresholds.
        """
        text = self._text(self.prompt_learner, vocabulary, options)
        with self.acceleration.autocast(batch_inputs.device):
            feats = self.extract_feat(batch_inputs)
            query_feats, mask_logits = self.panoptic_head.propose(
                self.panoptic_head.pixel_maps(feats), text, False
            )
        query_feats, mask_logits = query_feats[-1], mask_logits[-1].float()
        query_logits = self._query_logits(query_feats, text, vocabulary)
        is_relevant = self.panoptic_fusion_head.is_relevant(
            object_probs(query_logits), options
        )
        tuner = options.tuner
        source = 'query' if tuner is None else tuner.settings.source
        shown = None
        if options.mode != 'query' or source != 'query':
            assert self.mask_classifier is not None  # checked above
            embeds, is_shown = shown = self.encode_masks(
                batch_inputs,
                self.masks_to_show(mask_logits, metas, options),
                is_relevant,
                feats[-1],
            )
        if tuner is not None:
            scored = []
            if source != 'clip':
                classifier = self.panoptic_head.cls_embed
                scored.append(
                    ScoredQueries(
                        embeds=classifier.embed(query_feats.float()),
                        logits=query_logits,
                        scale=classifier.scale,
                        wanted=is_relevant,
                    )
                )
            if source != 'query':
                # by the learned prompts, even where CLIP has its own
                scored.append(
                    ScoredQueries(
                        embeds=beside_text(embeds, text),
                        logits=self._clip_logits(embeds, text, vocabulary),
                        scale=self.clip.logit_scale,
                        wanted=is_relevant & is_shown,
                    )
                )
            tuned = tuner.tune(
                scored,
                self.prompt_learner,
                self.clip.text,
                text,
                vocabulary,
                options.tasks,
            )
            if tuned is not None:
                text = tuned
                query_logits = self._query_logits(
                    query_feats, text, vocabulary
                )
        clip_logits = is_empty = None
        if options.mode != 'query':
            clip_logits = self.clip_view(
                embeds, is_shown, vocabulary, options, text
            )
            if options.empty_masks == 'drop':
                is_relevant = is_relevant & is_shown
            elif options.empty_masks == 'ones':
                is_empty = ~is_shown
            else:
                clip_logits = clip_logits.where(
                    is_shown[..., None], query_logits[..., :-1]
                )
        class_probs = is_relevant[..., None] * ensemble_scores(
            query_logits,
            clip_logits,
            torch.tensor(
                self.panoptic_head.cls_embed.is_seen(vocabulary),
                device=is_relevant.device,
            ),
            mode=options.mode,
            seen_weight=options.seen_weight,
            unseen_weight=options.unseen_weight,
            clip_trust=options.clip_trust,
            is_empty=is_empty,
        )
        return ScoredMasks(
            mask_logits,
            query_logits,
            clip_logits,
            class_probs,
            *(shown or (None, None)),
        )

    def test_step(
        self,
        data: dict | tuple | list,
        options: PredictOptions | None = None,
    ) -> SampleList:
        """Predict a collated batch, as mmengine's loops do.

        Args:
            data: ``inputs`` and ``data_samples`` as a loader gives them.
            options: See :meth:`predict`.
        """
        if options is None:
            return super().test_step(data)
        content = self.data_preprocessor(data, False)
        return self.predict(
            content['inputs'], content['data_samples'], options=options
        )

    def _query_logits(
        self, query_feats: Tensor, text: Tensor, vocabulary: Vocabulary
    ) -> Tensor:
        """Class logits of queries, (B, T, N, C + 1), float32."""
        with self.acceleration.autocast(text.device):
            return self.panoptic_head.cls_embed(
                query_feats, text, vocabulary
            ).float()

    def masks_to_show(
        self,
        mask_logits: Tensor,
        metas: Sequence[dict],
        options: PredictOptions,
    ) -> Tensor:
        """Bring masks to what the mask classifier takes.

        Args:
            mask_logits: At stride 4 of the padded batch, (B, T or 1, N, h,
                w).
            metas: ``batch_input_shape`` and ``img_shape`` of each image.
            options: How masks are enlarged.

        Returns:
            Masks for :meth:`encode_masks`.
        """
        assert self.mask_classifier is not None  # see check_options
        if self.mask_classifier.takes_full_size:
            mask_logits = enlarge_masks(
                mask_logits,
                metas[0]['batch_input_shape'],
                options.aligned_corners,
            )
        if self.mask_classifier.masks_reach_padding:
            return mask_logits
        return blank_padding(mask_logits, metas)

    def encode_masks(
        self,
        batch_inputs: Tensor,
        mask_logits: Tensor,
        is_relevant: Tensor | None = None,
        last_map: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Show masks to CLIP.

        Args:
            batch_inputs: Normalised images, (B, 3, H, W).
            mask_logits: (B, T or 1, N, h, w).
            is_relevant: Masks that are wanted, (B, T, N), bool; none of the
                others is shown. ``None`` wants all.
            last_map: The backbone's last map of these images, if there is
                one; a mask classifier that uses it has it computed else.

        Returns:
            Unit-norm embeddings, (B, T or 1, N, D), float32, and which were
            wanted and are not empty, (B, T or 1, N), bool: an empty one has
            nothing to show.
        """
        assert self.mask_classifier is not None  # checked when built
        tasks = mask_logits.shape[1]
        if is_relevant is not None:
            if tasks == 1:  # one mask for all tasks
                is_relevant = is_relevant.any(1, keepdim=True)
            mask_logits = mask_logits.masked_fill(
                ~is_relevant[..., None, None], PADDING_LOGIT
            )
        with self.acceleration.autocast(batch_inputs.device):
            if not self.mask_classifier.uses_backbone_map:
                images = self._to_rgb(batch_inputs)
            elif last_map is None:
                images = self.extract_feat(batch_inputs)[-1]
            else:
                images = last_map
            embeds, valid = self.mask_classifier(
                self.clip, images, mask_logits.flatten(1, 2)
            )
        return (
            embeds.float().unflatten(1, (tasks, -1)),
            valid.unflatten(1, (tasks, -1)),
        )

    def clip_view(
        self,
        embeds: Tensor,
        is_shown: Tensor,
        vocabulary: Vocabulary,
        options: PredictOptions,
        text: Tensor | None = None,
    ) -> Tensor:
        """Classify masks by CLIP's embeddings of them.

        Args:
            embeds: See :meth:`encode_masks`.
            is_shown: See there.
            vocabulary: The C classes.
            options: Tasks, sentences and examples.
            text: Embeddings by the prompt learner, (T, P, D); where CLIP's
                view has prompts of its own these are read instead.

        Returns:
            Logits, (B, T, N, C).
        """
        if text is None or self.clip_prompt is not None:
            learner = self.clip_prompt or self.prompt_learner
            text = self._text(learner, vocabulary, options)
        logits = self._clip_logits(embeds, text, vocabulary)
        if not options.examples:
            return logits
        return score_examples(
            logits,
            embeds,
            is_shown,
            vocabulary,
            options.examples,
            self.clip.logit_scale,
        )

    def _clip_logits(
        self, embeds: Tensor, text: Tensor, vocabulary: Vocabulary
    ) -> Tensor:
        """Compare CLIP's view of masks with text, (B, T, N, C)."""
        return self.clip.logit_scale * max_over_synonyms(
            beside_text(embeds, text) @ text.transpose(-1, -2),
            vocabulary.prompt_to_class,
        )

    def extract_feat(self, batch_inputs: Tensor) -> Sequence[Tensor]:
        """Maps of the backbone, each (B, c, h, w)."""
        return super().extract_feat(self.acceleration.arrange(batch_inputs))

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> tuple[Tensor, Tensor]:
        """Class and mask logits, as :meth:`FreeSegHead.predict` gives them."""
        vocabulary = self._vocabulary(batch_data_samples)
        return self.panoptic_head.predict(
            self.extract_feat(batch_inputs),
            self._text(self.prompt_learner, vocabulary, self.predict_options),
            vocabulary,
        )

    def _text(
        self,
        learner: PromptLearner,
        vocabulary: Vocabulary,
        options: PredictOptions,
    ) -> Tensor:
        """Cached text embeddings, (T, P, D)."""
        if options.templates is not None:
            learner = learner.reworded(options.templates)
        return self._text_cache.encode(
            learner, self.clip, vocabulary, options.tasks
        )

    def text_embeds(
        self, vocabulary: Vocabulary, options: PredictOptions
    ) -> dict[str, Tensor]:
        """Text embeddings that a prediction compares with, (T, P, D) each.

        Args:
            vocabulary: The classes.
            options: With the T tasks.

        Returns:
            ``text`` and, if CLIP's view has prompts of its own and is asked
            for, ``clip_text``.
        """
        learners: dict[str, PromptLearner] = {'text': self.prompt_learner}
        if self.clip_prompt is not None and options.mode != 'query':
            learners['clip_text'] = self.clip_prompt
        return {
            name: self._text(learner, vocabulary, options)
            for name, learner in learners.items()
        }

    def _train_text(self, vocabulary: Vocabulary, task: Task) -> Tensor:
        """Text embeddings of a step, (1, P, D); cached if none is learned."""
        learner = self.prompt_learner
        if learner.learns:
            return learner(self.clip.text, vocabulary, [task])
        return self._text_cache.encode(learner, self.clip, vocabulary, [task])

    def _options(self, samples: SampleList) -> PredictOptions:
        """Options of a batch: its samples', else the model's."""
        if not any('predict_options' in sample for sample in samples):
            return self.predict_options
        options = shared_value('predict_options', samples)
        if isinstance(options, Mapping):
            return self.predict_options.override(**options)
        return options

    def _vocabulary(self, samples: SampleList) -> Vocabulary:
        """The vocabulary of a batch; see :func:`batch_vocabulary`."""
        meta = getattr(self, 'dataset_meta', None)
        return batch_vocabulary(samples, self.vocabulary, meta or {})

    def _to_rgb(self, batch_inputs: Tensor) -> Tensor:
        """Undo the preprocessor: RGB in [0, 255]."""
        preprocessor = self.data_preprocessor
        images = batch_inputs * preprocessor.std + preprocessor.mean
        # mmcv reads BGR, and the preprocessor may have left it so
        if not preprocessor._channel_conversion:
            images = images.flip(1)
        return images

    def add_pred_to_datasample(
        self, data_samples: SampleList, results_list: Sequence[dict]
    ) -> SampleList:
        """Put each task's result into mmdet's field for it."""
        for sample, results in zip(data_samples, results_list, strict=True):
            for task, result in results.items():
                setattr(sample, RESULT_FIELDS[task], result)
        return data_samples
