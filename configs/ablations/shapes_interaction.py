"""Table 4, row 4, on shapes: all of the method; CLIP reads as in the paper."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table4/ablation_4_interaction'
model = dict(clip_prompt=None)
