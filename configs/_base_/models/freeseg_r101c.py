"""The FreeSeg network with the paper's numbers (Sec. 4.2)."""

num_queries = 100
feat_channels = 256
# for model.clip_prompt: vectors learned through the queries never see CLIP's
# image embeddings, a sentence needs none
fixed_view = dict(
    type='freeseg_mm.FixedPrompt',
    class_template='A photo of {}.',
    task_template=None,
)
num_levels = 3  # maps in the pixel decoder's encoder and the decoder

model = dict(
    type='freeseg_mm.FreeSeg',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_seg=True,
        seg_pad_value=0,
    ),
    # the deep stem of the authors' R-101c; norm statistics stay frozen
    backbone=dict(
        type='mmseg.ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        multi_grid=(1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',
        contract_dilation=False,
        init_cfg=dict(
            type='Pretrained', checkpoint='open-mmlab://resnet101_v1c'
        ),
    ),
    clip=dict(
        type='freeseg_mm.FrozenCLIP', model='ViT-B-16', pretrained='openai'
    ),
    prompt_learner=dict(
        type='freeseg_mm.AdaptivePromptLearner',
        num_class_tokens=16,
        num_task_tokens=8,
        use_task_prompt=True,
        fusion='task_first',
        placement='before',
        pretrained=None,  # file of freeseg-mm prompts pretrain
    ),
    mask_classifier=dict(type='freeseg_mm.CropMaskClassifier'),
    # CLIP's view of a mask is compared with the queries' text (Sec. 3.1);
    # the other reading: configs/freeseg/coco_fixed_view.py
    clip_prompt=None,
    panoptic_head=dict(
        type='freeseg_mm.FreeSegHead',
        in_channels=[256, 512, 1024, 2048],
        feat_channels=feat_channels,
        out_channels=feat_channels,
        num_queries=num_queries,
        num_transformer_feat_level=num_levels,
        context_interaction=dict(
            type='freeseg_mm.SemanticContextInteraction',
            attention_channels=2048,
            num_heads=8,
            dropout=0.1,
            layer_scale=0.1,
            residual=True,
            norms=True,
        ),
        # the cosine's factor is CLIP's own, 100 in OpenAI's
        classifier=dict(hidden_channels=1024, learn_temperature=False),
        no_object_weight=0.1,
        pixel_decoder=dict(
            type='MSDeformAttnPixelDecoder',
            num_outs=num_levels,
            norm_cfg=dict(type='GN', num_groups=32),
            act_cfg=dict(type='ReLU'),
            encoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(
                        embed_dims=feat_channels,
                        num_heads=8,
                        num_levels=num_levels,
                        num_points=4,
                        dropout=0.0,
                        batch_first=True,
                    ),
                    ffn_cfg=dict(
                        embed_dims=feat_channels,
                        feedforward_channels=1024,
                        num_fcs=2,
                        ffn_drop=0.0,
                        act_cfg=dict(type='ReLU', inplace=True),
                    ),
                ),
            ),
            positional_encoding=dict(
                num_feats=feat_channels // 2, normalize=True
            ),
        ),
        transformer_decoder=dict(
            num_layers=9,
            return_intermediate=True,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=feat_channels,
                    num_heads=8,
                    dropout=0.0,
                    batch_first=True,
                ),
                cross_attn_cfg=dict(
                    embed_dims=feat_channels,
                    num_heads=8,
                    dropout=0.0,
                    batch_first=True,
                ),
                ffn_cfg=dict(
                    embed_dims=feat_channels,
                    feedforward_channels=2048,
                    num_fcs=2,
                    ffn_drop=0.0,
                    act_cfg=dict(type='ReLU', inplace=True),
                ),
            ),
            init_cfg=None,
        ),
        positional_encoding=dict(num_feats=feat_channels // 2, normalize=True),
        # Eq. 1 and 3 with the weights of the authors' release
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0
        ),
        loss_mask=dict(
            type='FocalLoss',
            use_sigmoid=True,
            gamma=2.0,
            alpha=0.25,
            loss_weight=20.0,
        ),
        loss_dice=dict(
            type='DiceLoss',
            use_sigmoid=True,
            activate=True,
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
    ),
    panoptic_fusion_head=dict(type='freeseg_mm.FreeSegFusionHead'),
    # folder that keeps text embeddings between runs
    text_cache_dir=None,
    # docs/reports/benchmarks.md: what each saves, and how far results move
    acceleration=dict(precision='float32', channels_last=False, compile=False),
    train_cfg=dict(
        num_points=12544,  # 112 * 112, as in Mask2Former
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        ignore_query_overlap=0.5,
        num_negative_classes=None,  # a step reads all names
        clip_loss_weight=0.0,  # prompts learn from queries alone
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.0),
                dict(type='FocalLossCost', weight=20.0, binary_input=True),
                dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
    ),
    test_cfg=dict(
        tasks=['semantic', 'instance', 'panoptic'],
        ensemble=dict(
            mode='geometric',
            seen_weight=0.8,
            unseen_weight=0.2,
        ),
        max_per_image=100,
        # what is hardly an object is neither shown to CLIP nor counted
        min_object_prob=0.05,
        # a segment needs a class that is likelier than no object, however
        # many classes share the rest: docs/reports/shapes.md
        panoptic_rule='no_object',
        object_score_thr=0.0,
        overlap_thr=0.8,
        # Sec. 3.4; freeseg_mm/models/prompt_tuning/objective.py explains them
        prompt_tuning=dict(
            steps=0,  # off
            learning_rate=3e-3,
            threshold=0.5,
            unseen_first=True,
            source='query',
            online=False,
        ),
    ),
)
