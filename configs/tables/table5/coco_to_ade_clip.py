"""Table 5, COCO to ADE20K, CLIP.

Every class of ADE20K counts as unseen.
Test, with the weights of table2/instance_coco_clip.py:
    tools/test.py configs/tables/table5/coco_to_ade_clip.py CKPT
"""

_base_ = '../table2/instance_ade_clip.py'
paper = {
    '_delete_': True, 'semantic/mIoU': 13.8, 'instance/mAP': 3.9,
    'panoptic/PQ': 8.2, 'panoptic/SQ': 53.1, 'panoptic/RQ': 10.5,
}  # fmt: skip
weights = 'table2/instance_coco_clip'
test_dataloader = dict(dataset=dict(seen='none'))
