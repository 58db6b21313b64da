"""FreeSeg on the shapes benchmark: minutes on two CPU cores.

The same network as ``coco.py``, smaller, with the miniature CLIP.
Data: freeseg-mm shapes make data/shapes
CLIP: freeseg-mm shapes clip data/shapes data/shapes_clip
Train: tools/train.py configs/freeseg/shapes.py
"""

_base_ = [
    '../_base_/models/freeseg_r101c.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_60k.py',
    '../_base_/default_runtime.py',
]

channels = 128
max_iters = 1500

model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        base_channels=32,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN'),
        norm_eval=False,  # no pretrained statistics to keep
        style='pytorch',
    ),
    clip=dict(
        model='data/shapes_clip/shapes_clip.json',
        pretrained='data/shapes_clip/shapes_clip.pt',
    ),
    # the ablations read the paper's way: configs/ablations
    clip_prompt=dict(_base_.fixed_view, _delete_=True),
    panoptic_head=dict(
        in_channels=[32, 64, 128, 256],
        feat_channels=channels,
        out_channels=channels,
        num_queries=20,
        context_interaction=dict(
            attention_channels=channels, num_heads=4, dropout=0.0
        ),
        classifier=dict(hidden_channels=256),
        pixel_decoder=dict(
            encoder=dict(
                num_layers=2,
                layer_cfg=dict(
                    self_attn_cfg=dict(embed_dims=channels, num_heads=4),
                    ffn_cfg=dict(
                        embed_dims=channels, feedforward_channels=256
                    ),
                ),
            ),
            positional_encoding=dict(num_feats=channels // 2),
        ),
        transformer_decoder=dict(
            num_layers=3,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=channels, num_heads=4),
                cross_attn_cfg=dict(embed_dims=channels, num_heads=4),
                ffn_cfg=dict(embed_dims=channels, feedforward_channels=256),
            ),
        ),
        positional_encoding=dict(num_feats=channels // 2),
    ),
    train_cfg=dict(num_points=1024),
    # both chosen on scenes that no result is of: docs/reports/shapes.md
    mask_classifier=dict(mask_thr=0.6),
    test_cfg=dict(ensemble=dict(seen_weight=0.4, unseen_weight=0.3)),
)

optim_wrapper = dict(
    # fused: all parameters in one call, half the time on a CPU
    optimizer=dict(lr=1e-3, weight_decay=1e-4, fused=True),
    clip_grad=dict(max_norm=1.0),
    # trained from scratch
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=0.0,
        begin=50,
        end=max_iters,
        by_epoch=False,
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
