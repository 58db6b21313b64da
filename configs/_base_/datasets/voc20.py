"""PASCAL VOC 2012, 20 classes, 15 of them seen (Sec. 4.1), at 512 x 512.

Semantic segmentation only; background has no class and no metric, and is a
negative of every mask.
Prepare it with ``freeseg-mm prepare voc SRC data/voc20``.
"""

_base_ = 'open_vocab.py'

data_root = 'data/voc20/'
vocabulary = 'voc20'
crop_size = (512, 512)
test_size = 512
batch_augments = [
    dict(_base_.batch_augments[0], size=crop_size),
    _base_.batch_augments[1],
]

train_pipeline = [
    *_base_.load_gt,
    dict(
        type='RandomChoiceResize',
        # the authors' release keeps COCO's 320 ... 960 here
        scales=[(4 * test_size, side) for side in _base_.short_sides],
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
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        vocabulary=vocabulary,
        tasks=('semantic',),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(
            img='val/',
            seg='annotations/panoptic_val/',
            sem='annotations/semantic_val/',
        ),
        vocabulary=vocabulary,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = [dict(type='freeseg_mm.OpenVocabSemMetric')]
test_evaluator = val_evaluator
