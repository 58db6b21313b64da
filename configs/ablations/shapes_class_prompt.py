"""Table 4, row 2, on shapes: a learned class prompt alone."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table4/ablation_2_class_prompt'
model = dict(
    clip_prompt=None,
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
