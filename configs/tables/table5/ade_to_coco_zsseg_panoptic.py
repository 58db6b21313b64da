"""Table 5, ADE20K to COCO, ZSSeg, panoptic segmentation.

Every class of COCO counts as unseen.
Test, with the weights of table3/panoptic_ade_zsseg.py:
    tools/test.py configs/tables/table5/ade_to_coco_zsseg_panoptic.py CKPT
"""

_base_ = '../table3/panoptic_coco_zsseg.py'
paper = {
    '_delete_': True, 'panoptic/PQ': 11.2, 'panoptic/SQ': 66.5,
    'panoptic/RQ': 14.9,
}  # fmt: skip
weights = 'table3/panoptic_ade_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
