"""Table 5, ADE20K to COCO, ZSSeg, semantic segmentation.

Every class of COCO counts as unseen.
Test, with the weights of table1/semantic_ade_zsseg.py:
    tools/test.py configs/tables/table5/ade_to_coco_zsseg_semantic.py CKPT
"""

_base_ = '../table1/semantic_coco_zsseg.py'
paper = {'_delete_': True, 'semantic/mIoU': 17.7}
weights = 'table1/semantic_ade_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
