"""Table 6, ADE20K to VOC2012, Ours.

Every class of VOC2012 counts as unseen.
Test, with the weights of table1/semantic_ade_ours.py:
    tools/test.py configs/tables/table6/ade_to_voc_ours.py CKPT
"""

_base_ = '../table1/semantic_voc_ours.py'
paper = {'_delete_': True, 'semantic/mIoU': 80.1}
weights = 'table1/semantic_ade_ours'
test_dataloader = dict(dataset=dict(seen='none'))
