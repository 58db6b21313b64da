"""FC-CLIP's network: a frozen convolutional CLIP is the backbone.

Yu et al., "Convolutions Die Hard: Open-Vocabulary Segmentation with Single
Frozen Convolutional CLIP", NeurIPS 2023.
"""

_base_ = './freeseg_r101c.py'

model = dict(
    # CLIP's own, times 255
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    clip=dict(
        model='convnext_large_d_320', pretrained='laion2b_s29b_b131k_ft_soup'
    ),
    backbone=dict(_delete_=True, type='freeseg_mm.CLIPBackbone'),
    prompt_learner=dict(
        _delete_=True,
        type='freeseg_mm.FixedPrompt',
        class_template='vild14',
        task_template=None,
    ),
    clip_prompt=None,
    mask_classifier=dict(
        type='freeseg_mm.MaskPoolClassifier',
        pooling='binary',
        source='backbone',
    ),
    panoptic_head=dict(
        in_channels=[192, 384, 768, 1536],
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
        ensemble=dict(seen_weight=0.6, unseen_weight=0.2),
        min_object_prob=0.0,
        object_score_thr=0.0,
        panoptic_rule='no_object',
        overlap_pixels='won',
        instance_ranking='all_classes',
    ),
)
