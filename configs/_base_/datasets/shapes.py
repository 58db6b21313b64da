"""The shapes benchmark: generated scenes, unseen combinations.

Make it with ``freeseg-mm shapes make data/shapes``.
"""

_base_ = 'open_vocab.py'

data_root = 'data/shapes/'
vocabulary = 'vocabulary.json'
crop_size = (128, 128)
# Masks come at a quarter of the input: what is enlarged has finer outlines.
test_size = 160
batch_augments = [
    dict(_base_.batch_augments[0], size=crop_size),
    _base_.batch_augments[1],
]

# Colours tell the classes of this world apart, so they stay.
train_pipeline = [
    *_base_.load_gt,
    dict(
        type='RandomChoiceResize',
        scales=[(8 * crop_size[0], crop_size[0])],
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.pack_gt,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(8 * test_size, test_size), keep_ratio=True),
    _base_.pack_test,
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        vocabulary=vocabulary,
        pipeline=train_pipeline,
    ),
)
# Choices are made on the scenes of tune, results are those of val.
val_dataloader, test_dataloader = (
    dict(
        batch_size=8,
        num_workers=1,
        dataset=dict(
            data_root=data_root,
            ann_file=f'annotations/panoptic_{split}.json',
            data_prefix=dict(
                img=f'{split}/',
                seg=f'annotations/panoptic_{split}/',
                sem=f'annotations/semantic_{split}/',
            ),
            vocabulary=vocabulary,
            pipeline=test_pipeline,
        ),
    )
    for split in ('tune', 'val')
)
val_evaluator, test_evaluator = (
    [
        dict(type='freeseg_mm.OpenVocabSemMetric'),
        dict(
            type='freeseg_mm.OpenVocabInsMetric',
            ann_file=f'{data_root}annotations/instances_{split}.json',
        ),
        dict(type='freeseg_mm.OpenVocabPanMetric'),
    ]
    for split in ('tune', 'val')
)
