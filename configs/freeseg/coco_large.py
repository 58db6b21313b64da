"""FreeSeg on COCO on four GPUs: 32 images an update, averaged weights.

Train: tools/dist_train.sh configs/freeseg/coco_large.py 4
"""

_base_ = ['coco.py', '../_base_/large.py']

model = dict(**_base_.less_memory)
optim_wrapper = dict(accumulative_counts=_base_.accumulative_counts)
custom_hooks = [*_base_.custom_hooks, _base_.averaged_weights]

max_iters = 60000 * _base_.accumulative_counts
train_cfg = dict(max_iters=max_iters)
param_scheduler = [dict(_base_.param_scheduler[0], end=max_iters)]
