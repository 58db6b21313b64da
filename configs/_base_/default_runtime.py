"""What every run shares: scope, hooks, logging, seeds."""

default_scope = 'mmdet'
custom_imports = dict(
    imports=['freeseg_mm.registry'], allow_failed_imports=False
)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=2
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # draw=True: a picture every 50 batches of validation, all of a test
    visualization=dict(type='DetVisualizationHook', draw=False, interval=50),
)
custom_hooks = [
    dict(type='freeseg_mm.CompatibilityHook'),
    dict(type='freeseg_mm.ExactResumeHook'),
    dict(type='freeseg_mm.FiniteTrainingHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='freeseg_mm.FreeSegVisualizer',
    vis_backends=vis_backends,
    name='visualizer',
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
