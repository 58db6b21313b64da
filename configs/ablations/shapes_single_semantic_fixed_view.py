"""CLIP's view by ``A photo of {}.``, the rest as shapes_single_semantic.py."""

_base_ = './shapes_single_semantic.py'

paper_row = None
weights = 'shapes_single_semantic'
model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
