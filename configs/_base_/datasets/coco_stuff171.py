"""COCO with 171 classes, 156 of them seen (Sec. 4.1.1).

Prepare it with ``tools/prepare_coco.py SRC data/coco_stuff171``.
"""

data_root = 'data/coco_stuff171/'
vocabulary = 'coco_stuff171'
crop_size = (640, 640)
short_sides = [320 + 64 * i for i in range(11)]  # 320 ... 960
test_scale = (2560, 640)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='freeseg_mm.LoadPanopticSegments'),
    dict(
        type='RandomChoiceResize',
        scales=[(2560, side) for side in short_sides],
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PhotoMetricDistortion'),
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
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=test_scale, keep_ratio=True),
    dict(
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
    ),
]

train_dataloader = dict(
    batch_size=4,  # 8 GPUs x 4 = 32
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='freeseg_mm.OpenVocabPanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(
            img='train2017/', seg='annotations/panoptic_train2017/'
        ),
        vocabulary=vocabulary,
        split='seen',
        tasks=('semantic', 'instance', 'panoptic'),
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
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(
            img='val2017/',
            seg='annotations/panoptic_val2017/',
            sem='annotations/semantic_val2017/',
        ),
        vocabulary=vocabulary,
        split='all',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='freeseg_mm.OpenVocabSemMetric'),
    dict(
        type='freeseg_mm.OpenVocabInsMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
    ),
    dict(type='freeseg_mm.OpenVocabPanMetric'),
]
test_evaluator = val_evaluator
