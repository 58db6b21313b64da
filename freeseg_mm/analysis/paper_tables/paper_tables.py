"""Tables 1-7 of the paper: rows, columns and the numbers it cites.

The numbers of what the authors ran themselves stand in the configs of the
rows, as ``paper``.
"""

from .filling import Column, Row, Table

_CROSS = ('COCO to ADE20K', 'ADE20K to COCO')
_OURS, _FULL, _CLIP, _ZSSEG = ('Ours',), ('Full Sup.',), ('CLIP',), ('ZSSeg',)


def _columns(task: str, **titles: str) -> tuple[Column, ...]:
    return tuple(
        Column(title, f'{task}/{name}') for name, title in titles.items()
    )


_SEMANTIC_PAIR = _columns(
    'semantic', mIoU_seen='mIoU seen', mIoU_unseen='mIoU unseen'
)
_INSTANCE_PAIR = _columns(
    'instance', mAP_seen='mAP seen', mAP_unseen='mAP unseen'
)
_PANOPTIC_SIX = _columns(
    'panoptic',
    PQ_seen='PQ seen',
    SQ_seen='SQ seen',
    RQ_seen='RQ seen',
    PQ_unseen='PQ unseen',
    SQ_unseen='SQ unseen',
    RQ_unseen='RQ unseen',
)
_ALL_TASKS = (*_SEMANTIC_PAIR, *_INSTANCE_PAIR, *_PANOPTIC_SIX)


def _semantic_row(method: str, config: str) -> Row:
    return Row(
        (method,),
        configs={
            source: (f'table1/semantic_{short}_{config}',)
            for source, short in _TABLE_1_SOURCES.items()
        },
    )


def _cited_semantic_row(
    method: str, coco: tuple[float, ...], voc: tuple[float, ...]
) -> Row:
    return Row((method,), cited={'COCO': coco, 'VOC2012': voc})


_TABLE_1_SOURCES = {'COCO': 'coco', 'VOC2012': 'voc', 'ADE20K': 'ade'}
_TABLE_1 = Table(
    1,
    'Open-vocabulary semantic segmentation',
    ('Method',),
    tuple(
        Column(f'{source} {title}', f'semantic/{name}', source)
        for source in _TABLE_1_SOURCES
        for name, title in (
            ('mIoU_seen', 'mIoU seen'),
            ('mIoU_unseen', 'mIoU unseen'),
            ('hIoU', 'hIoU'),
        )
    ),
    (
        _semantic_row('Full Sup.', 'full_sup'),
        _cited_semantic_row('SPNet', (34.6, 26.9, 30.3), (77.8, 25.8, 38.8)),
        _cited_semantic_row('ZS5', (34.9, 10.6, 16.2), (78.0, 21.2, 33.3)),
        _cited_semantic_row('CaGNet', (35.6, 13.4, 19.5), (78.6, 30.3, 43.7)),
        _cited_semantic_row('STRICT', (35.3, 30.3, 32.6), (82.7, 35.6, 73.3)),
        _cited_semantic_row(
            'ZegFormer', (36.6, 33.2, 34.8), (86.4, 63.6, 73.3)
        ),
        _semantic_row('ZSSeg', 'zsseg'),
        _semantic_row('Ours', 'ours'),
    ),
)


def _row(section: str, labels: tuple[str, ...], *configs: str) -> Row:
    return Row(labels, section, configs={'': configs})


def _cited_row(section: str, method: str, *numbers: float | None) -> Row:
    return Row((method,), section, cited={'': numbers})


_TABLE_2 = Table(
    2,
    'Open-vocabulary instance segmentation',
    ('Method',),
    (
        *_INSTANCE_PAIR,
        *_columns('instance', mAP='mAP', AP50='AP50', AP75='AP75'),
    ),
    (
        _row('COCO', _FULL, 'table2/instance_coco_full_sup'),
        _row('COCO', _CLIP, 'table2/instance_coco_clip'),
        _row('COCO', _ZSSEG, 'table2/instance_coco_zsseg'),
        _cited_row('COCO', 'PL', 34.0, 12.4, None, None, None),
        _cited_row('COCO', 'BLC', 36.0, 13.1, None, None, None),
        _cited_row('COCO', 'ZSI', 38.7, 13.6, None, None, None),
        _row('COCO', _OURS, 'table2/instance_coco_ours'),
        _row('ADE20K', _FULL, 'table2/instance_ade_full_sup'),
        _row('ADE20K', _CLIP, 'table2/instance_ade_clip'),
        _row('ADE20K', _ZSSEG, 'table2/instance_ade_zsseg'),
        _row('ADE20K', _OURS, 'table2/instance_ade_ours'),
    ),
)
_TABLE_3 = Table(
    3,
    'Open-vocabulary panoptic segmentation',
    ('Method',),
    _PANOPTIC_SIX,
    tuple(
        _row(section, labels, f'table3/panoptic_{short}_{config}')
        for section, short in (('COCO', 'coco'), ('ADE20K', 'ade'))
        for labels, config in (
            (_FULL, 'full_sup'),
            (_CLIP, 'clip'),
            (_ZSSEG, 'zsseg'),
            (_OURS, 'ours'),
        )
    ),
)
_TABLE_4 = Table(
    4,
    'The proposed modules, on COCO',
    ('Class prompt', 'Task prompt', 'Interaction', 'Prompt tuning'),
    _ALL_TASKS,
    tuple(
        _row(
            '',
            tuple('yes' if number > part else 'no' for part in range(1, 5)),
            f'table4/ablation_{number}_{name}',
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


def _zsseg_configs(short: str) -> tuple[str, ...]:
    return tuple(
        f'table5/{short}_zsseg_{task}'
        for task in ('semantic', 'instance', 'panoptic')
    )


_TABLE_5 = Table(
    5,
    'Trained on one data set, tested on another',
    ('Method',),
    (
        *_columns('semantic', mIoU='mIoU'),
        *_columns('instance', mAP='mAP'),
        *_columns('panoptic', PQ='PQ', SQ='SQ', RQ='RQ'),
    ),
    (
        _row(_CROSS[0], _CLIP, 'table5/coco_to_ade_clip'),
        _cited_row(_CROSS[0], 'LSeg+', 13.0, None, None, None, None),
        _cited_row(_CROSS[0], 'OpenSeg', 15.3, None, None, None, None),
        _row(_CROSS[0], _ZSSEG, *_zsseg_configs('coco_to_ade')),
        _cited_row(_CROSS[0], 'MaskCLIP', 23.7, 5.9, 15.1, 70.4, 19.2),
        _row(_CROSS[0], _OURS, 'table5/coco_to_ade_ours'),
        _row(_CROSS[1], _CLIP, 'table5/ade_to_coco_clip'),
        _row(_CROSS[1], _ZSSEG, *_zsseg_configs('ade_to_coco')),
        _row(_CROSS[1], _OURS, 'table5/ade_to_coco_ours'),
    ),
)
_TABLE_6_SOURCES = {'COCO to VOC2012': 'coco', 'ADE20K to VOC2012': 'ade'}
_TABLE_6 = Table(
    6,
    'Trained on one data set, tested on VOC2012',
    ('Method',),
    tuple(
        Column(f'{source} mIoU', 'semantic/mIoU', source)
        for source in _TABLE_6_SOURCES
    ),
    tuple(
        Row(
            labels,
            configs={
                source: (f'table6/{short}_to_voc_{config}',)
                for source, short in _TABLE_6_SOURCES.items()
            },
        )
        for labels, config in (
            (_CLIP, 'clip'),
            (_ZSSEG, 'zsseg'),
            (_OURS, 'ours'),
        )
    ),
)
_TABLE_7 = Table(
    7,
    'Training paradigms and prompts, on COCO',
    ('Method',),
    _ALL_TASKS,
    (
        _row(
            'Train paradigm',
            ('Single-task',),
            'table7/single_semantic',
            'table7/single_instance',
            'table7/single_panoptic',
        ),
        _row('Train paradigm', ('Multi-task',), 'table7/multi_task'),
        _row('Prompt', ('Fixed',), 'table7/fixed_prompt'),
        _row('Prompt', ('Adaptive',), 'table7/adaptive_prompt'),
    ),
)

TABLES = (
    *(_TABLE_1, _TABLE_2, _TABLE_3, _TABLE_4),
    *(_TABLE_5, _TABLE_6, _TABLE_7),
)
