"""Every config of the zoo is the network that its weights were trained as."""

from pathlib import Path

import mmdet
import open_clip
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.registry import MODELS
from freeseg_mm.zoo.layouts import LAYOUTS
from freeseg_mm.zoo.models import ZooModel

CONFIGS = sorted(Path(__file__).resolve().parents[2].glob('configs/zoo/*.py'))
STOCK = Path(mmdet.__file__).parent / '.mim' / 'configs' / 'mask2former'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_is_whole(path):
    config = Config.fromfile(path)
    model = ZooModel.read(path)
    assert path.read_text().startswith('"""')
    assert model.layout in LAYOUTS
    assert config.default_scope == 'mmdet'
    assert config.model.type == 'freeseg_mm.FreeSeg'
    options = PredictOptions.from_config(config.model.test_cfg)
    assert len(options.tasks) == 3
    load, resize, pack = config.test_dataloader.dataset.pipeline
    assert load.type == 'LoadImageFromFile'
    assert (resize.type, resize.scale) == ('Resize', (1333, 800))
    assert 'vocabulary' in pack.meta_keys
    assert config.val_dataloader == config.test_dataloader
    # the weights are all of the backbone's
    assert not config.model.backbone.get('init_cfg')


def on_meta(backbone, head):
    """Names and shapes of the two at full size, without their memory."""
    found = {}
    for name, part in (('backbone', backbone), ('panoptic_head', head)):
        part = dict(part, init_cfg=None)
        if part['type'] == 'SwinTransformer':
            part['drop_path_rate'] = 0  # its numbers are read when built
        with torch.device('meta'):
            built = MODELS.build(part)
        found |= {f'{name}.{k}': v for k, v in built.state_dict().items()}
    return found


@pytest.mark.parametrize(
    'path',
    [path for path in CONFIGS if ZooModel.read(path).layout == 'mmdet'],
    ids=lambda path: path.stem,
)
def test_mmdets_own_model_fills_it(path, monkeypatch):
    stock = STOCK / Path(ZooModel.read(path).file).with_suffix('.py')
    if not stock.is_file():
        pytest.skip(f'mmdet was installed without its configs: no {stock}')
    init_default_scope('mmdet')
    # a linspace of mmdet's asks for the value of each of its numbers
    linspace = torch.linspace
    monkeypatch.setattr(
        torch, 'linspace', lambda *given: linspace(*given, device='cpu')
    )
    theirs = Config.fromfile(stock).model
    ours = Config.fromfile(path).model
    ours.panoptic_head.update(embed_dim=512)
    ours, theirs = (
        on_meta(model.backbone, model.panoptic_head)
        for model in (ours, theirs)
    )
    assert len(theirs) > 400
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }
    rules = Config.fromfile(stock).model.data_preprocessor
    inputs = Config.fromfile(path).model.data_preprocessor
    assert (inputs.mean, inputs.std) == (rules.mean, rules.std)


FCCLIPS = [path for path in CONFIGS if ZooModel.read(path).layout == 'fcclip']


@pytest.mark.parametrize('path', FCCLIPS, ids=lambda path: path.stem)
def test_head_of_fcclip_has_its_numbers(path):
    """Sizes as FC-CLIP's own configs have them."""
    init_default_scope('mmdet')
    head = Config.fromfile(path).model.panoptic_head
    head.update(embed_dim=768)
    with torch.device('meta'):
        shapes = {
            name: tuple(value.shape)
            for name, value in MODELS.build(head).state_dict().items()
        }
    assert shapes['query_feat.weight'] == (250, 256)
    assert shapes['cls_embed.project.4.weight'] == (768, 256)
    assert shapes['cls_embed.log_temperature'] == ()
    assert shapes['cls_embed.no_object'] == (768,)
    assert shapes['mask_pooling.1.weight'] == (256, 256)
    assert len([n for n in shapes if 'cross_attn.attn.in_proj_w' in n]) == 9
    assert len([n for n in shapes if 'value_proj.weight' in n]) == 6


def test_towers_have_the_channels_that_the_heads_expect():
    for path in FCCLIPS:
        model = Config.fromfile(path).model
        tags = open_clip.list_pretrained_tags_by_model(model.clip.model)
        assert model.clip.pretrained in tags
        vision = open_clip.get_model_config(model.clip.model)['vision_cfg']
        if 'timm_model_name' in vision:
            with torch.device('meta'):
                trunk = timm.create_model(
                    vision['timm_model_name'], features_only=True
                )
            channels = trunk.feature_info.channels()
        else:
            # a ResNet's stem has its width, each stage is four times as wide
            channels = [vision['width'] * 4 * 2**i for i in range(4)]
        assert list(model.panoptic_head.in_channels) == channels, path
