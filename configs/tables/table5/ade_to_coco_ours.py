"""Table 5, ADE20K to COCO, Ours.

Every class of COCO counts as unseen.
Test, with the weights of table1/semantic_ade_ours.py:
    tools/test.py configs/tables/table5/ade_to_coco_ours.py CKPT
"""

_base_ = '../table1/semantic_coco_ours.py'
paper = {
    '_delete_': True, 'semantic/mIoU': 21.7, 'instance/mAP': 6.6,
    'panoptic/PQ': 16.5, 'panoptic/SQ': 72.0, 'panoptic/RQ': 21.6,
}  # fmt: skip
weights = 'table1/semantic_ade_ours'
test_dataloader = dict(dataset=dict(seen='none'))
