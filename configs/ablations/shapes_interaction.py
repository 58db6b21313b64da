"""Table 4, row 4, on shapes: all of configs/freeseg/shapes.py."""

_base_ = '../freeseg/shapes.py'

paper_row = 'table4/ablation_4_interaction'
