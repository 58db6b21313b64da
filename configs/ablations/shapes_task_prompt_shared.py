"""CLIP's view by the same text as the queries: shapes_task_prompt.py."""

_base_ = './shapes_task_prompt.py'

paper_row = None
weights = 'shapes_task_prompt'
model = dict(clip_prompt=None)
