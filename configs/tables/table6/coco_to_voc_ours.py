"""Table 6, COCO to VOC2012, Ours.

Every class of VOC2012 counts as unseen.
Test, with the weights of table1/semantic_coco_ours.py:
    tools/test.py configs/tables/table6/coco_to_voc_ours.py CKPT
"""

_base_ = '../table1/semantic_voc_ours.py'
paper = {'_delete_': True, 'semantic/mIoU': 91.9}
weights = 'table1/semantic_coco_ours'
test_dataloader = dict(dataset=dict(seen='none'))
