"""What the network of shapes_task_prompt.py names by itself, without CLIP's view."""

_base_ = './shapes_task_prompt.py'

paper_row = None
weights = 'shapes_task_prompt'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
