"""Tables 1-7 of the paper: rows, columns and the numbers it cites.

The numbers of what the authors ran themselves stand in the configs of the
rows, as ``paper``.
"""

from collections.abc import Mapping

from .filling import Column, Row, Table

_SEMANTIC, _INSTANCE, _PANOPTIC = (
    tuple(
        Column(f'{name} {split}', f'{task}/{name}_{split}')
        for split in ('seen', 'unseen')
        for name in names
    )
    for task, names in (
        ('semantic', ('mIoU',)),
        ('instance', ('mAP',)),
        ('panoptic', ('PQ', 'SQ', 'RQ')),
    )
)
_METHOD = ('Method',)
_STEMS = {
    'Full Sup.': 'full_sup',
    'CLIP': 'clip',
    'ZSSeg': 'zsseg',
    'Ours': 'ours',
    'Multi-task': 'multi_task',
    'Fixed': 'fixed_prompt',
    'Adaptive': 'adaptive_prompt',
}
"""Last part of the names of a method's configs."""
_METHODS = ('Full Sup.', 'CLIP', 'ZSSeg', 'Ours')
_Cited = tuple[str, Mapping[str, tuple[float, ...]]]


def _rows(
    section: str, patterns: Mapping[str, str], *methods: str | _Cited
) -> tuple[Row, ...]:
    """Describe the rows of one section.

    Args:
        section: Its heading, may be empty.
        patterns: By source, names of the configs, with a place for the
            method.
        methods: Labels of methods that have configs, and labels of others
            with the numbers that are cited of them.
    """
    return tuple(
        Row(
            (method,),
            section,
            configs={
                source: (pattern.format(_STEMS[method]),)
                for source, pattern in patterns.items()
            },
        )
        if isinstance(method, str)
        else Row(method[:1], section, cited=method[1])
        for method in methods
    )


def _single_tasks(section: str, label: str, name: str) -> Row:
    """Describe a row of three models, one for each task."""
    tasks = ('semantic', 'instance', 'panoptic')
    configs = tuple(f'{name}_{task}' for task in tasks)
    return Row((label,), section, configs={'': configs})


_DATASETS = {
    'COCO': 'table1/semantic_coco_{}',
    'VOC2012': 'table1/semantic_voc_{}',
    'ADE20K': 'table1/semantic_ade_{}',
}
_TABLE_1 = Table(
    1,
    'Open-vocabulary semantic segmentation',
    _METHOD,
    tuple(
        Column(f'{source} {title}', f'semantic/{name}', source)
        for source in _DATASETS
        for name, title in (
            ('mIoU_seen', 'mIoU seen'),
            ('mIoU_unseen', 'mIoU unseen'),
            ('hIoU', 'hIoU'),
        )
    ),
    _rows(
        '',
        _DATASETS,
        'Full Sup.',
        *(
            (label, {'COCO': coco, 'VOC2012': voc})
            for label, coco, voc in (
                ('SPNet', (34.6, 26.9, 30.3), (77.8, 25.8, 38.8)),
                ('ZS5', (34.9, 10.6, 16.2), (78.0, 21.2, 33.3)),
                ('CaGNet', (35.6, 13.4, 19.5), (78.6, 30.3, 43.7)),
                ('STRICT', (35.3, 30.3, 32.6), (82.7, 35.6, 73.3)),
                ('ZegFormer', (36.6, 33.2, 34.8), (86.4, 63.6, 73.3)),
            )
        ),
        'ZSSeg',
        'Ours',
    ),
)
_TABLE_2 = Table(
    2,
    'Open-vocabulary instance segmentation',
    _METHOD,
    (
        *_INSTANCE,
        *(
            Column(name, f'instance/{name}')
            for name in ('mAP', 'AP50', 'AP75')
        ),
    ),
    (
        *_rows(
            'COCO',
            {'': 'table2/instance_coco_{}'},
            'Full Sup.',
            'CLIP',
            'ZSSeg',
            ('PL', {'': (34.0, 12.4)}),
            ('BLC', {'': (36.0, 13.1)}),
            ('ZSI', {'': (38.7, 13.6)}),
            'Ours',
        ),
        *_rows('ADE20K', {'': 'table2/instance_ade_{}'}, *_METHODS),
    ),
)
_TABLE_3 = Table(
    3,
    'Open-vocabulary panoptic segmentation',
    _METHOD,
    _PANOPTIC,
    (
        *_rows('COCO', {'': 'table3/panoptic_coco_{}'}, *_METHODS),
        *_rows('ADE20K', {'': 'table3/panoptic_ade_{}'}, *_METHODS),
    ),
)
_TABLE_4 = Table(
    4,
    'The proposed modules, on COCO',
    ('Class prompt', 'Task prompt', 'Interaction', 'Prompt tuning'),
    (*_SEMANTIC, *_INSTANCE, *_PANOPTIC),
    tuple(
        Row(
            tuple('yes' if number > part else 'no' for part in range(1, 5)),
            configs={'': (f'table4/ablation_{number}_{name}',)},
        )
        for number, name in enumerate(
            (
                'no_text',
                'class_prompt',
                'task_prompt',
                'interaction',
                'prompt_tuning',
            ),
            start=1,
        )
    ),
)


_TABLE_5 = Table(
    5,
    'Trained on one dataset, tested on another',
    _METHOD,
    tuple(
        Column(metric.partition('/')[2], metric)
        for metric in (
            'semantic/mIoU',
            'instance/mAP',
            'panoptic/PQ',
            'panoptic/SQ',
            'panoptic/RQ',
        )
    ),
    (
        *_rows(
            'COCO to ADE20K',
            {'': 'table5/coco_to_ade_{}'},
            'CLIP',
            ('LSeg+', {'': (13.0,)}),
            ('OpenSeg', {'': (15.3,)}),
        ),
        _single_tasks('COCO to ADE20K', 'ZSSeg', 'table5/coco_to_ade_zsseg'),
        *_rows(
            'COCO to ADE20K',
            {'': 'table5/coco_to_ade_{}'},
            ('MaskCLIP', {'': (23.7, 5.9, 15.1, 70.4, 19.2)}),
            'Ours',
        ),
        *_rows('ADE20K to COCO', {'': 'table5/ade_to_coco_{}'}, 'CLIP'),
        _single_tasks('ADE20K to COCO', 'ZSSeg', 'table5/ade_to_coco_zsseg'),
        *_rows('ADE20K to COCO', {'': 'table5/ade_to_coco_{}'}, 'Ours'),
    ),
)
_TRANSFERS = {
    'COCO to VOC2012': 'table6/coco_to_voc_{}',
    'ADE20K to VOC2012': 'table6/ade_to_voc_{}',
}
_TABLE_6 = Table(
    6,
    'Trained on one dataset, tested on VOC2012',
    _METHOD,
    tuple(
        Column(f'{source} mIoU', 'semantic/mIoU', source)
        for source in _TRANSFERS
    ),
    _rows('', _TRANSFERS, 'CLIP', 'ZSSeg', 'Ours'),
)
_TABLE_7 = Table(
    7,
    'Training paradigms and prompts, on COCO',
    _METHOD,
    _TABLE_4.columns,
    (
        _single_tasks('Train paradigm', 'Single-task', 'table7/single'),
        *_rows('Train paradigm', {'': 'table7/{}'}, 'Multi-task'),
        *_rows('Prompt', {'': 'table7/{}'}, 'Fixed', 'Adaptive'),
    ),
)

TABLES = (
    *(_TABLE_1, _TABLE_2, _TABLE_3, _TABLE_4),
    *(_TABLE_5, _TABLE_6, _TABLE_7),
)
