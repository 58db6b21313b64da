"""Table 5, COCO to ADE20K, ZSSeg, semantic segmentation.

Every class of ADE20K counts as unseen.
Test, with the weights of table1/semantic_coco_zsseg.py:
    tools/test.py configs/tables/table5/coco_to_ade_zsseg_semantic.py CKPT
"""

_base_ = '../table1/semantic_ade_zsseg.py'
paper = {'_delete_': True, 'semantic/mIoU': 16.4}
weights = 'table1/semantic_coco_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
