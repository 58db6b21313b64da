"""What the network names by itself: shapes_fixed_prompt.py without CLIP."""

_base_ = './shapes_fixed_prompt.py'

paper_row = None
weights = 'shapes_fixed_prompt'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
