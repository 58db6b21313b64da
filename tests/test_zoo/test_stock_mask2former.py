"""mmdet's own checkpoint, from its address to masks on a photograph."""

import hashlib
import json
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.apis import inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import save_checkpoint
from small_sizes import shrink

from freeseg_mm import FreeSegInferencer
from freeseg_mm.apis import set_classes
from freeseg_mm.cli import main
from freeseg_mm.structures import Vocabulary
from freeseg_mm.zoo.models import find_zoo_model

STOCK = (
    Path(mmdet.__file__).parent
    / '.mim/configs/mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
)
# what mmdet does with random weights, which are sure of nothing
RULES = {
    'min_object_prob': 0.0,
    'object_score_thr': 0.0,
    'overlap_thr': 0.0,
    'panoptic_rule': 'no_object',
}


def make_small(config):
    shrink(config.model)
    config.model.backbone.update(depth=18, base_channels=8, init_cfg=None)
    config.model.panoptic_head.in_channels = [8, 16, 32, 64]
    for loader in (config.test_dataloader, config.val_dataloader):
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (107, 64)


@pytest.fixture(scope='module')
def stock():
    """A small Mask2Former by mmdet's config, which finds a few segments."""
    if not STOCK.is_file():
        pytest.skip(f'mmdet was installed without its configs: no {STOCK}')
    init_default_scope('mmdet')
    config = Config.fromfile(STOCK)
    make_small(config)
    config.model.test_cfg.update(object_mask_thr=0.0, iou_thr=0.0)
    pipeline = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [
        step for step in pipeline if 'Annotations' not in step.type
    ]
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    with torch.no_grad():
        for name, value in model.panoptic_head.named_parameters():
            if value.dim() > 1 and ('query' in name or 'embed' in name):
                value.mul_(20 if name.startswith('query') else 4)
    model.cfg = config
    return model.eval()


@pytest.fixture(scope='module')
def stock_file(stock, tmp_path_factory):
    """The checkpoint, as a training of mmdet leaves it."""
    path = tmp_path_factory.mktemp('stock') / 'mask2former.pth'
    hub = MessageHub.get_instance('stock')
    hub.update_scalar('train/loss', 3.0)
    content = {
        'meta': {'epoch': 0, 'iter': 9, 'cfg': 'x = 1', 'dataset_meta': None},
        'state_dict': stock.state_dict(),
        'message_hub': hub.state_dict(),
        'optimizer': {'state': {}, 'param_groups': []},
    }
    save_checkpoint(content, str(path))
    return path


@pytest.fixture
def fetched(stock_file, server, tiny_clip_config, repo, tmp_path, monkeypatch):
    """The name of the model in the zoo, fetched; its config."""
    config = Config.fromfile(repo / 'configs/zoo/mask2former_r50.py')
    make_small(config)
    config.model.clip = tiny_clip_config
    config.zoo.sha256 = hashlib.sha256(stock_file.read_bytes()).hexdigest()[:8]
    config.zoo.url = server.serve('/m2f.pth', stock_file.read_bytes())
    config.test_pipeline = config.test_dataloader.dataset.pipeline
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('FREESEG_MM_HOME', str(tmp_path / 'home'))
    path = tmp_path / 'configs/zoo/small_mask2former.py'
    path.parent.mkdir(parents=True)
    config.dump(path)
    find_zoo_model('small_mask2former').get()
    return path


def listen(monkeypatch, fusion_head):
    """Catch what a network predicts, before it is made a result."""
    caught = {}
    predict = fusion_head.predict

    def heard(scores, masks, *rest, **named):
        caught.update(scores=scores, masks=masks)
        return predict(scores, masks, *rest, **named)

    monkeypatch.setattr(fusion_head, 'predict', heard)
    return caught


def test_its_masks_and_scores_are_mmdets(fetched, stock, noise, monkeypatch):
    image = np.ascontiguousarray(noise(64, 85)[..., ::-1])
    theirs = listen(monkeypatch, stock.panoptic_fusion_head)
    expected = inference_detector(stock, image)
    inferencer = FreeSegInferencer('small_mask2former', device='cpu')
    ours = listen(monkeypatch, inferencer.model.panoptic_fusion_head)
    (result,) = inferencer(
        image, 'coco_panoptic133', score_thr=0.0, max_per_image=100, **RULES
    )

    masks = F.interpolate(
        ours['masks'][:, 0], theirs['masks'].shape[-2:], mode='bilinear'
    )
    torch.testing.assert_close(masks, theirs['masks'], rtol=0, atol=1e-5)
    scores = theirs['scores'].softmax(-1)[..., :-1]
    for task in range(3):
        torch.testing.assert_close(
            ours['scores'][:, task], scores, rtol=0, atol=1e-6
        )
    # and what is made of them; mmdet writes label + 1000 * number
    segment_map = expected.pred_panoptic_seg.sem_seg[0].numpy()
    labels = {part.id: part.label for part in result.segments}
    assert len(labels) > 1
    found = np.full(segment_map.shape, 133)  # mmdet's void
    for id_, label in labels.items():
        found[result.segment_map == id_] = label
    np.testing.assert_array_equal(found, segment_map % 1000)
    best = expected.pred_instances
    best = best[best.scores.argsort(descending=True)]
    assert len(best) > 10
    assert [one.label for one in result.instances] == best.labels.tolist()
    np.testing.assert_allclose(
        [one.score for one in result.instances], best.scores, atol=1e-6
    )


def test_plain_words_score_as_cocos_names(fetched, stock, noise, monkeypatch):
    image = np.ascontiguousarray(noise(64, 85)[..., ::-1])
    theirs = listen(monkeypatch, stock.panoptic_fusion_head)
    inference_detector(stock, image)
    inferencer = FreeSegInferencer('small_mask2former', device='cpu')
    ours = listen(monkeypatch, inferencer.model.panoptic_fusion_head)
    vocabulary = inferencer.vocabulary(['Lawn', 'cat', 'tree|bush'])
    assert vocabulary.is_seen == (True,) * 3
    assert vocabulary.is_thing == (False, True, False)
    inferencer(image, vocabulary, **RULES)
    names = Vocabulary.load('coco_panoptic133').names
    places = [
        names.index(name) for name in ('grass-merged', 'cat', 'tree-merged')
    ]
    torch.testing.assert_close(
        ours['scores'][0, 0],
        theirs['scores'].softmax(-1)[0][:, places],
        rtol=0,
        atol=1e-6,
    )


def test_a_class_it_does_not_know_is_left_to_clip(fetched, noise):
    inferencer = FreeSegInferencer('small_mask2former', device='cpu')
    vocabulary = inferencer.vocabulary(['cat', 'dragon'])
    assert vocabulary.is_seen == (True, False)
    (result,) = inferencer(noise(64, 85), vocabulary, **RULES)
    assert {part.name for part in result.segments} <= {'cat', 'dragon'}


def test_mmdets_functions_take_it(fetched, noise, tmp_path):
    checkpoint = str(tmp_path / 'home/models/small_mask2former.pth')
    image = noise(64, 85)
    model = init_detector(str(fetched), checkpoint, device='cpu')
    inferencer = FreeSegInferencer('small_mask2former', device='cpu')
    vocabulary = inferencer.vocabulary(['cat', 'tree', 'dragon'])
    set_classes(model, vocabulary, **RULES)
    found = inference_detector(model, image).pred_sem_seg.sem_seg[0]
    (result,) = inferencer(image, vocabulary, channel_order='bgr')
    np.testing.assert_array_equal(found.numpy(), result.label_map)


def test_a_photograph_from_the_command_line(fetched, samples_dir, capsys):
    photo = min((samples_dir / 'coco_stuff200').rglob('*.jpg'))
    status = main(
        ['predict', str(photo), '--classes', 'person, grass, dragon']
        + ['--tasks', 'semantic', '--json', '--out', 'results']
    )
    out, errors = capsys.readouterr()
    assert status == 0
    assert 'without --config: small_mask2former, the best model' in errors
    line = json.loads(out)
    assert Path(line['source']) == photo
    assert all(Path(file).is_file() for file in line['files'])
    assert line['files']
