"""CLIP's view by ``A photo of {}.``, the rest as shapes_interaction.py."""

_base_ = './shapes_interaction.py'

paper_row = None
weights = 'shapes_interaction'
model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
