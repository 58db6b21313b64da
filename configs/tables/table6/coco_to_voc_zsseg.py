"""Table 6, COCO to VOC2012, ZSSeg.

Every class of VOC2012 counts as unseen.
Test, with the weights of table1/semantic_coco_zsseg.py:
    tools/test.py configs/tables/table6/coco_to_voc_zsseg.py CKPT
"""

_base_ = '../table1/semantic_voc_zsseg.py'
paper = {'_delete_': True, 'semantic/mIoU': 82.1}
weights = 'table1/semantic_coco_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
