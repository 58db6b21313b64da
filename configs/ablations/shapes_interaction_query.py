"""What the network names by itself: shapes_interaction.py without CLIP."""

_base_ = './shapes_interaction.py'

paper_row = None
weights = 'shapes_interaction'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
