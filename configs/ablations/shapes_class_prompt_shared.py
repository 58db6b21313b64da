"""CLIP's view by the same text as the queries: shapes_class_prompt.py."""

_base_ = './shapes_class_prompt.py'

paper_row = None
weights = 'shapes_class_prompt'
model = dict(clip_prompt=None)
