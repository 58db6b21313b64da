"""``freeseg-mm env``, also where packages are absent."""

import sys
from importlib import metadata

import freeseg_mm
from freeseg_mm.cli.env import collect_env


def test_says_what_a_bug_report_needs(run, repo, monkeypatch):
    monkeypatch.setenv('FREESEG_MM_HOME', '/some/where')
    status, printed, _ = run('env')
    assert status == 0
    facts = dict(
        line.split(': ', 1) for line in printed.splitlines() if ': ' in line
    )
    assert facts['freeseg_mm'] == f'{freeseg_mm.__version__}, files in {repo}'
    assert facts['torch'].startswith('2.')
    assert facts['open_clip'].endswith(' (open_clip_torch)')
    assert facts['OpenMMLab'] == 'versions fit'
    assert facts['mmcv.ops'].startswith('load, compiled by ')
    assert facts['FREESEG_MM_HOME'] == '/some/where'
    assert '/clip (' in facts['CLIP cache']
    assert {'CUDA available', 'GCC', 'Python'} <= set(facts)


def test_what_is_broken_is_named_with_the_reason(monkeypatch):
    for name in ('mmcv', 'mmcv.ops', 'mmengine.utils.dl_utils'):
        monkeypatch.setitem(sys.modules, name, None)
    installed = metadata.packages_distributions()
    monkeypatch.setattr(
        'freeseg_mm.cli.env.metadata.packages_distributions',
        lambda: {name: installed[name] for name in ('torch', 'mmdet')},
    )
    facts = collect_env()
    assert facts['torch'].startswith('2.')
    assert facts['mmcv'] == 'not installed'
    assert facts['OpenMMLab'].startswith(
        'does not load: freeseg_mm needs mmcv >= 2.1.0, found none; run '
    )
    assert facts['mmcv.ops'].startswith('does not load: ')
    assert 'mmengine.utils.dl_utils' in facts['mmengine.collect_env']
