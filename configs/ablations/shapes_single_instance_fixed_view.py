"""CLIP's view by ``A photo of {}.``, the rest as shapes_single_instance.py."""

_base_ = './shapes_single_instance.py'

paper_row = None
weights = 'shapes_single_instance'
model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
