"""FC-CLIP's network, predicted by its own rules.

Yu et al., "Convolutions Die Hard: Open-Vocabulary Segmentation with Single
Frozen Convolutional CLIP", NeurIPS 2023.
"""

_base_ = './freeseg_convclip.py'

model = dict(
    prompt_learner=dict(
        _delete_=True,
        type='freeseg_mm.FixedPrompt',
        class_template='vild14',
        task_template=None,
    ),
    clip_prompt=None,
    mask_classifier=dict(pooling='binary'),
    panoptic_head=dict(
        num_queries=250,
        context_interaction=None,
        pool_mask_features=True,
        classifier=dict(
            hidden_channels=256,
            num_layers=3,
            learn_temperature=True,
            max_temperature=100.0,
        ),
    ),
    test_cfg=dict(
        # FC-CLIP weights CLIP, with 0.4 and 0.8
        ensemble=dict(seen_weight=0.6, unseen_weight=0.2),
        min_object_prob=0.0,
        object_score_thr=0.0,
        panoptic_rule='no_object',
        overlap_pixels='won',
        instance_ranking='all_classes',
    ),
)
