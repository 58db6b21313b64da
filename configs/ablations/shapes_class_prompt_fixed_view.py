"""CLIP's view by ``A photo of {}.``, the rest as shapes_class_prompt.py."""

_base_ = './shapes_class_prompt.py'

paper_row = None
weights = 'shapes_class_prompt'
model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
