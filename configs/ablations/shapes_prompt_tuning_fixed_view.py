"""CLIP's view by ``A photo of {}.``, the rest as shapes_prompt_tuning.py."""

_base_ = './shapes_prompt_tuning.py'

paper_row = None
model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
