"""ADE20K with 150 classes, 135 of them seen (Sec. 4.1), at 512 x 512.

Prepare it with ``freeseg-mm prepare ade20k SRC data/ade20k150``.
"""

_base_ = 'open_vocab.py'

data_root = 'data/ade20k150/'
vocabulary = 'ade20k150'
crop_size = (512, 512)
test_size = 512
# half to twice the crop, as the authors' release does
short_sides = [int(crop_size[0] * tenths / 10) for tenths in range(5, 21)]
batch_augments = [
    dict(_base_.batch_augments[0], size=crop_size),
    _base_.batch_augments[1],
]

train_pipeline = [
    *_base_.load_gt,
    dict(
        type='RandomChoiceResize',
        scales=[(4 * test_size, side) for side in short_sides],
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PhotoMetricDistortion'),
    *_base_.pack_gt,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(4 * test_size, test_size), keep_ratio=True),
    _base_.pack_test,
]

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_training.json',
        data_prefix=dict(
            img='training/', seg='annotations/panoptic_training/'
        ),
        vocabulary=vocabulary,
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_validation.json',
        data_prefix=dict(
            img='validation/',
            seg='annotations/panoptic_validation/',
            sem='annotations/semantic_validation/',
        ),
        vocabulary=vocabulary,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='freeseg_mm.OpenVocabSemMetric'),
    dict(
        type='freeseg_mm.OpenVocabInsMetric',
        ann_file=data_root + 'annotations/instances_validation.json',
    ),
    dict(type='freeseg_mm.OpenVocabPanMetric'),
]
test_evaluator = val_evaluator
