"""Table 5, COCO to ADE20K, Ours.

Every class of ADE20K counts as unseen.
Test, with the weights of table1/semantic_coco_ours.py:
    tools/test.py configs/tables/table5/coco_to_ade_ours.py CKPT
"""

_base_ = '../table1/semantic_ade_ours.py'
paper = {
    '_delete_': True, 'semantic/mIoU': 24.6, 'instance/mAP': 6.5,
    'panoptic/PQ': 16.3, 'panoptic/SQ': 71.8, 'panoptic/RQ': 21.6,
}  # fmt: skip
weights = 'table1/semantic_coco_ours'
test_dataloader = dict(dataset=dict(seen='none'))
