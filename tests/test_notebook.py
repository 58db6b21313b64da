"""The notebook of the first five minutes runs, without Jupyter."""

import ast
import json
from pathlib import Path

import pytest
from inference_fixtures import *  # noqa: F403
from PIL import Image
from test_docs_inference import checkout  # noqa: F401

REPO = Path(__file__).resolve().parent.parent
NOTEBOOK = REPO / 'docs/first_five_minutes.ipynb'


@pytest.fixture(scope='module')
def notebook():
    return json.loads(NOTEBOOK.read_text('utf-8'))


def run_cell(source, names):
    """Run a cell; the value of its last line, as Jupyter shows it."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), str(NOTEBOOK), 'exec'), names)
    if last is None:
        return None
    shown = ast.Expression(last.value)
    return eval(compile(shown, str(NOTEBOOK), 'eval'), names)


def test_format(notebook):
    assert (notebook['nbformat'], notebook['nbformat_minor']) == (4, 5)
    cells = notebook['cells']
    assert len({cell['id'] for cell in cells}) == len(cells)
    assert {cell['cell_type'] for cell in cells} == {'code', 'markdown'}
    assert ''.join(cells[0]['source']).startswith('# ')


def test_outputs_are_stripped(notebook):
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            assert cell['outputs'] == []
            assert cell['execution_count'] is None


def test_links_lead_somewhere(notebook):
    text = ''.join(
        line
        for cell in notebook['cells']
        if cell['cell_type'] == 'markdown'
        for line in cell['source']
    )
    names = [part.split(')')[0] for part in text.split('](')[1:]]
    assert names
    assert [
        name for name in names if not (REPO / 'docs' / name).exists()
    ] == []


def test_cells_run_in_order(notebook, checkout, capsys):  # noqa: F811
    names = {}
    shown = [
        run_cell(''.join(cell['source']), names)
        for cell in notebook['cells']
        if cell['cell_type'] == 'code'
    ]
    pictures = [value for value in shown if isinstance(value, Image.Image)]
    assert len(pictures) == 3
    assert pictures[2].size == (64, 64)  # an overlay has the photo's size
    out = capsys.readouterr().out
    assert 'label_map (64, 64)' in out
    assert 'green disc (unseen)' in out
    written = checkout / 'work_dirs/first_five_minutes'
    assert shown[-1] == sorted(path.name for path in written.iterdir())
    assert {'prediction.png', 'instances.json', 'panoptic.png'} <= set(
        shown[-1]
    )
    seen = dict(zip(names['words'].names, names['words'].is_seen, strict=True))
    # the tiny weights were trained on grass
    assert [name for name, is_seen in seen.items() if is_seen] == ['grass']
