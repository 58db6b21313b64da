"""What the network names by itself: shapes_class_prompt.py without CLIP."""

_base_ = './shapes_class_prompt.py'

paper_row = None
weights = 'shapes_class_prompt'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
