"""What the network names by itself: shapes_task_prompt.py without CLIP."""

_base_ = './shapes_task_prompt.py'

paper_row = None
weights = 'shapes_task_prompt'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
