from freeseg_mm.utils.files import PACKAGE_FILES, find_path
from freeseg_mm.utils.run_config import read_config

COCO = 'configs/freeseg/coco.py'


def test_files_are_those_of_the_checkout(repo):
    assert repo == PACKAGE_FILES


def test_what_is_here_comes_first(tmp_path, monkeypatch, repo):
    monkeypatch.chdir(tmp_path)
    assert find_path(COCO) == repo / COCO
    here = tmp_path / COCO
    here.parent.mkdir(parents=True)
    here.write_text('a = 1')
    assert find_path(COCO).resolve() == here
    assert read_config(COCO).to_dict() == {'a': 1}


def test_what_is_nowhere_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(find_path('configs/none.py')) == 'configs/none.py'


def test_base_of_the_package_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = 'freeseg_mm::freeseg/coco.py'\n"
        'model = dict(test_cfg=dict(max_per_image=50))\n'
    )
    config, base = read_config(path), read_config(COCO)
    assert config.model.pop('_scope_') == 'freeseg_mm'
    base.model.test_cfg.max_per_image = 50
    assert config.model.to_dict() == base.model.to_dict()
