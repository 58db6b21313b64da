"""mmdet's own Mask2Former, of the size of one of our models."""

from mmengine.config import ConfigDict

SHARED = (
    'in_channels',
    'feat_channels',
    'out_channels',
    'num_queries',
    'num_transformer_feat_level',
    'pixel_decoder',
    'transformer_decoder',
    'positional_encoding',
)
POINTS = ('num_points', 'oversample_ratio', 'importance_sample_ratio')


def mask2former_config(model: ConfigDict, num_classes: int) -> ConfigDict:
    """Mask2Former with a FreeSeg's backbone, pixel decoder and decoder.

    Losses and matching are those of mmdet's Mask2Former configs; queries are
    classified by its linear layer.

    Args:
        model: Config of a FreeSeg.
        num_classes: Classes of the linear classifier.
    """
    head = model.panoptic_head
    preprocessor = model.data_preprocessor.copy()
    preprocessor.pop('pad_seg', None)
    preprocessor.pop('seg_pad_value', None)
    preprocessor.update(pad_mask=True, mask_pad_value=0, batch_augments=[])
    classes = {'num_things_classes': num_classes, 'num_stuff_classes': 0}
    return ConfigDict(
        type='mmdet.Mask2Former',
        data_preprocessor=preprocessor,
        backbone=model.backbone,
        neck=model.get('neck'),
        panoptic_head={
            'type': 'mmdet.Mask2FormerHead',
            **{name: head[name] for name in SHARED if name in head},
            **classes,
            **_losses(num_classes),
        },
        panoptic_fusion_head={
            'type': 'mmdet.MaskFormerFusionHead',
            'loss_panoptic': None,
            **classes,
        },
        train_cfg={
            **{name: model.train_cfg[name] for name in POINTS},
            'assigner': _ASSIGNER,
            'sampler': {'type': 'mmdet.MaskPseudoSampler'},
        },
        test_cfg={},
    )


def _losses(num_classes: int) -> dict[str, dict]:
    cross_entropy = {'type': 'mmdet.CrossEntropyLoss', 'reduction': 'mean'}
    return {
        'loss_cls': {
            **cross_entropy,
            'use_sigmoid': False,
            'loss_weight': 2.0,
            'class_weight': [1.0] * num_classes + [0.1],
        },
        'loss_mask': {
            **cross_entropy,
            'use_sigmoid': True,
            'loss_weight': 5.0,
        },
        'loss_dice': {
            'type': 'mmdet.DiceLoss',
            'use_sigmoid': True,
            'activate': True,
            'naive_dice': True,
            'eps': 1.0,
            'loss_weight': 5.0,
        },
    }


_ASSIGNER = {
    'type': 'mmdet.HungarianAssigner',
    'match_costs': [
        {'type': 'mmdet.ClassificationCost', 'weight': 2.0},
        {
            'type': 'mmdet.CrossEntropyLossCost',
            'weight': 5.0,
            'use_sigmoid': True,
        },
        {
            'type': 'mmdet.DiceCost',
            'weight': 5.0,
            'pred_act': True,
            'eps': 1.0,
        },
    ],
}
