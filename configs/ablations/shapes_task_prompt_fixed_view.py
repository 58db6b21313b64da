"""CLIP's view by ``A photo of {}.``, the rest as shapes_task_prompt.py."""

_base_ = './shapes_task_prompt.py'

paper_row = None
weights = 'shapes_task_prompt'
model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
