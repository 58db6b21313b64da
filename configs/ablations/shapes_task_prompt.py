"""Table 4, row 3, on shapes: class and task prompts."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table4/ablation_3_task_prompt'
model = dict(clip_prompt=None, panoptic_head=dict(context_interaction=None))
