"""mmdet's Mask2Former, closed-set classifier and all, beside a CLIP.

A class with a name of COCO's is scored as the network's own classifier does;
what it knows no class for, CLIP tells apart. Nothing is trained.
"""

_base_ = './freeseg_r101c.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',
    ),
    prompt_learner=dict(
        _delete_=True,
        type='freeseg_mm.FixedPrompt',
        class_template='vild14',
        task_template=None,
    ),
    clip_prompt=None,
    panoptic_head=dict(
        context_interaction=None,
        closed_vocabulary='coco_panoptic133_all',
        classifier=None,
    ),
    test_cfg=dict(
        ensemble=dict(seen_weight=1.0),
        object_score_thr=0.8,
        panoptic_rule='score',
        instance_ranking='all_classes',
    ),
)
