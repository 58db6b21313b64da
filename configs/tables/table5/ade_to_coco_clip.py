"""Table 5, ADE20K to COCO, CLIP.

Every class of COCO counts as unseen.
Test, with the weights of table2/instance_ade_clip.py:
    tools/test.py configs/tables/table5/ade_to_coco_clip.py CKPT
"""

_base_ = '../table2/instance_coco_clip.py'
paper = {
    '_delete_': True, 'semantic/mIoU': 14.7, 'instance/mAP': 2.7,
    'panoptic/PQ': 8.1, 'panoptic/SQ': 66.3, 'panoptic/RQ': 11.0,
}  # fmt: skip
weights = 'table2/instance_ade_clip'
test_dataloader = dict(dataset=dict(seen='none'))
