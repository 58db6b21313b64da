"""Pipelines and loaders that all datasets share, at 640 x 640.

A dataset's own file says where it lies. One with another size puts its
pipelines together from the same steps; see ``ade20k150.py``.
"""

crop_size = (640, 640)
test_size = 640  # short side; the long one is at most four times as long
short_sides = [320 + 64 * i for i in range(11)]  # 320 ... 960
batch_augments = [
    dict(
        type='BatchFixedSizePad',
        size=crop_size,
        pad_mask=False,
        pad_seg=True,
        seg_pad_value=0,
    ),
    dict(type='freeseg_mm.TaskPerBatch'),
]

load_gt = [
    dict(type='LoadImageFromFile'),
    dict(type='freeseg_mm.LoadPanopticSegments'),
]
pack_gt = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='freeseg_mm.MultiTaskSampler'),
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'vocabulary',
            'task',
            'segments',
        ),
    ),
]
pack_test = dict(
    type='PackDetInputs',
    meta_keys=(
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'scale_factor',
        'vocabulary',
        'segments',
        'seg_map_path',
        'sem_seg_path',
    ),
)

train_pipeline = [
    *load_gt,
    dict(
        type='RandomChoiceResize',
        scales=[(4 * test_size, side) for side in short_sides],
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PhotoMetricDistortion'),
    *pack_gt,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(4 * test_size, test_size), keep_ratio=True),
    pack_test,
]

train_dataloader = dict(
    batch_size=4,  # 8 GPUs x 4 = 32
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='freeseg_mm.OpenVocabPanopticDataset',
        split='seen',
        tasks=('semantic', 'instance', 'panoptic'),
        pseudo_labels=None,  # folder of freeseg-mm pseudo-labels make
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='freeseg_mm.OpenVocabPanopticDataset',
        split='all',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
