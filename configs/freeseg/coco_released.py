"""FreeSeg on COCO as its authors released it, network, rules and recipe.

For their weights: freeseg-mm models convert release.pth --layout released
    --config configs/freeseg/coco_released.py --out work_dirs/released.pth
Test: tools/test.py configs/freeseg/coco_released.py work_dirs/released.pth
docs/reproduction.md says what each entry changes.
"""

_base_ = './coco.py'

model = dict(
    # their stem; OpenMMLab has no weights of it, so to train name a file here
    backbone=dict(stem_channels=128, init_cfg=None),
    prompt_learner=dict(period_apart=True, pretrained='data/coco_prompts.pth'),
    mask_classifier=dict(full_size=True),
    panoptic_head=dict(
        context_interaction=dict(
            residual='normalized',
            cumulative_text_norm=True,
            no_object_key=True,
        ),
        classifier=dict(temperature=100.0),
        pixel_decoder=dict(
            encoder=dict(
                layer_cfg=dict(
                    self_attn_cfg=dict(dropout=0.1), ffn_cfg=dict(ffn_drop=0.1)
                )
            )
        ),
        transformer_decoder=dict(num_layers=10),
    ),
    train_cfg=dict(
        all_pixels=True,
        unlabelled_is_negative=True,
        ignore_query_overlap=None,
        class_mean_per_process=True,
        supervise_last_but_one=False,
    ),
    test_cfg=dict(
        ensemble=dict(mode='released'),
        min_object_prob=0.0,
        empty_masks='ones',
        aligned_corners=True,
        resized='results',
        panoptic_rule='released',
        instance_ranking='released',
        # of sharpened scores: a thing of 171 classes needs p > 0.05
        object_score_thr=0.5,
        overlap_thr=0.5,
    ),
)

train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='Pad', size=_base_.crop_size, pad_val=dict(img=128, seg=0)),
    *_base_.train_pipeline[-2:],
]
test_pipeline = [
    dict(step, backend='pillow') if step['type'] == 'Resize' else step
    for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1.5e-4, weight_decay=1.5e-4))
