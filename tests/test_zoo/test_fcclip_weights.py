"""FC-CLIP's own checkpoint, from a file to its own segments."""

import pytest
import torch
from fcclip_case import fcclip_config, fcclip_numbers, fcclip_state

from freeseg_mm import FreeSegInferencer
from freeseg_mm.structures import Vocabulary
from freeseg_mm.zoo.models import find_zoo_model

WORDS = ['man|woman', 'zebra|striped horse', 'grass|lawn', 'sky']
WORDS += ['traffic light', 'pile of sand']


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the zoo's FC-CLIP, small, as ``small_fcclip``."""
    config = fcclip_config(tmp_path / 'clip.pt')
    for loader in (config.test_dataloader, config.val_dataloader):
        # the photograph is of the network's size
        loader.dataset.pipeline[1].scale = (200, 150)
    config.zoo.vocabulary = str(tmp_path / 'trained.json')
    # names that FC-CLIP was trained on, in its own test
    (tmp_path / 'trained.json').write_text(
        '{"classes": ["person", "dog", "grass", "sky", "car"], "synonyms": '
        '{"person": ["child", "man"], "sky": ["clouds"]}}'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('FREESEG_MM_HOME', str(tmp_path / 'home'))
    path = tmp_path / 'configs/zoo/small_fcclip.py'
    path.parent.mkdir(parents=True)
    config.dump(path)
    return tmp_path


@pytest.mark.parametrize('key', ['model', None])
@pytest.mark.parametrize('has_clip', [True, False])
def test_it_predicts_what_fcclip_does(here, make_sample, key, has_clip):
    state = {
        name: value
        for name, value in fcclip_state().items()
        if has_clip or not name.startswith('backbone.clip_model.')
    }
    torch.save({key: state} if key else state, here / 'fcclip.pth')
    find_zoo_model('small_fcclip').get(here / 'fcclip.pth')
    inferencer = FreeSegInferencer('small_fcclip', device='cpu')
    vocabulary = inferencer.vocabulary(
        WORDS, things=['man', 'zebra', 'traffic light']
    )
    assert vocabulary.is_seen == (True, False, True, True, False, False)

    expected = fcclip_numbers()
    image = expected['image_rgb'].permute(2, 0, 1).flip(0)  # BGR, as mmcv's
    size = tuple(expected['out_size'].tolist())
    sample = make_sample(
        vocabulary=vocabulary, size=(150, 200), ori_shape=size
    )
    (found,) = inferencer.model.test_step(
        {'inputs': [image], 'data_samples': [sample]}
    )
    labels = expected['semantic_labels'].long()
    assert torch.equal(found.pred_sem_seg.sem_seg[0], labels)
    segments = found.pred_panoptic_seg
    areas = [
        (part['label'], int((segments.sem_seg == part['id']).sum()))
        for part in segments.segments_info
    ]
    wanted = expected['panoptic_seg']
    assert sorted(areas) == sorted(
        (label, int((wanted == number).sum()))
        for number, label, _ in expected['segments'].tolist()
    )
    scores = expected['instance_scores'].sort(descending=True).values
    torch.testing.assert_close(
        found.pred_instances.scores, scores, rtol=0, atol=1e-6
    )
    # and by the ordinary way, from an RGB array
    (result,) = inferencer(
        expected['image_rgb'].numpy(), vocabulary, channel_order='rgb'
    )
    assert result.label_map.shape == (150, 200)
    assert set(result.label_map.flat) == set(labels.flatten().tolist())


def test_a_tuned_tower_comes_from_the_checkpoint(here):
    """As OVRCOAT's."""
    path = here / 'configs/zoo/small_fcclip.py'
    (here / 'configs/zoo/tuned.py').write_text(
        "_base_ = './small_fcclip.py'\n"
        'model = dict(backbone=dict(frozen=False))\n'
    )
    assert path.is_file()
    state = fcclip_state()
    name = 'backbone.clip_model.visual.trunk.stem.0.bias'
    state[name] = state[name] + 1
    state |= {f'frozen_{name}': state[name]}
    torch.save(state, here / 'tuned.pth')
    find_zoo_model('tuned').get(here / 'tuned.pth')
    model = FreeSegInferencer('tuned', device='cpu').model
    # one tower, for masks and for CLIP's view of them
    assert torch.equal(model.backbone.tower.trunk.stem[0].bias, state[name])
    assert model.clip.clip.visual is model.backbone.tower


def test_the_vocabulary_of_coco_knows_plain_words():
    """By them a class counts as seen."""
    words = Vocabulary.load('coco_panoptic133_all')
    official = Vocabulary.load('coco_panoptic133')
    assert words.names == official.names
    assert words.is_thing == official.is_thing
    assert all(words.is_seen)
    for name in words.names:
        plain = name.removesuffix('-merged').removesuffix('-stuff')
        plain = plain.removesuffix('-other')
        if plain != name:
            assert plain in words.synonyms[words.index(name)]
