"""Prompts that also learn to name CLIP's view; else shapes_interaction.py."""

_base_ = './shapes_interaction.py'

paper_row = None
model = dict(train_cfg=dict(clip_loss_weight=1.0))
# the network's rate, as measured in docs/reports/shapes.md
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(prompt_learner=dict(lr_mult=1.0)))
)
