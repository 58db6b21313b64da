"""What a training that is too large for a device needs, to take from.

    _base_ = ['../freeseg/coco.py', '../_base_/large.py']
    model = dict(**_base_.less_memory)
    optim_wrapper = dict(accumulative_counts=_base_.accumulative_counts)
    custom_hooks = [*_base_.custom_hooks, _base_.averaged_weights]

and for models that do not fit one device, each holding a part of the weights:

    runner_type = 'FlexibleRunner'
    strategy = dict(**_base_.sharded)
"""

# activations are made again in the backward pass
less_memory = dict(
    backbone=dict(with_cp=True), panoptic_head=dict(with_cp=True)
)
# batches whose gradients one update collects; 4 GPUs x 4 x 2 = 32 images
accumulative_counts = 2
# validation, test and checkpoints have the mean of the last 5,000 iterations
averaged_weights = dict(type='EMAHook', momentum=2e-4, update_buffers=True)
# not with averaged_weights, which would copy the parts
sharded = dict(
    type='FSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel', use_orig_params=True
    ),
    state_dict_cfg='local',  # a file of each process
)
