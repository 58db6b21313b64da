"""Table 5, COCO to ADE20K, ZSSeg, panoptic segmentation.

Every class of ADE20K counts as unseen.
Test, with the weights of table3/panoptic_coco_zsseg.py:
    tools/test.py configs/tables/table5/coco_to_ade_zsseg_panoptic.py CKPT
"""

_base_ = '../table3/panoptic_ade_zsseg.py'
paper = {
    '_delete_': True, 'panoptic/PQ': 9.3, 'panoptic/SQ': 58.0,
    'panoptic/RQ': 12.2,
}  # fmt: skip
weights = 'table3/panoptic_coco_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
