"""The site of the docs: whole, without broken links, on its own."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
CONFIG = REPO / 'docs/site/mkdocs.yml'
# Made from the README and from the notebook.
GENERATED = {'index.md', 'first_five_minutes.md'}


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    pytest.importorskip(
        'mkdocs', reason='pip install -r requirements/docs.txt'
    )
    from mkdocs.config import load_config

    return load_config(
        str(CONFIG), site_dir=str(tmp_path_factory.mktemp('site'))
    )


@pytest.fixture(scope='module')
def site(config):
    """Folder of the site; warnings, broken links too, raise an error."""
    from mkdocs.commands.build import build

    build(config)
    return Path(config.site_dir)


def pages_of(nav):
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else pages_of(value)


def test_every_page_is_in_the_navigation(config):
    named = list(pages_of(config.nav))
    assert len(named) == len(set(named))
    docs = REPO / 'docs'
    written = {
        path.relative_to(docs).as_posix() for path in docs.rglob('*.md')
    }
    assert set(named) == written | GENERATED


def test_strict_build(config, site):
    assert config.strict
    for name in pages_of(config.nav):
        assert (site / name).with_suffix('.html').is_file()
    # not how it is made
    assert [path.name for path in (site / 'site').iterdir()] == ['pages.css']
    assert (site / 'images/shapes_demo.png').is_file()


def test_home_is_the_readme(site):
    text = (site / 'index.html').read_text('utf-8')
    assert 'images/shapes_demo.png' in text
    assert 'href="get_started.html"' in text
    assert 'href="docs/' not in text
    assert 'LICENSE"' not in text  # not a part of the site


def test_notebook_is_a_page(site):
    text = (site / 'first_five_minutes.html').read_text('utf-8')
    assert 'language-python' in text
    assert 'FreeSegInferencer' in text
    assert 'href="inference.html"' in text


def test_pages_load_nothing_from_elsewhere(site):
    loads = re.compile(
        r'<(?:script|img|iframe|source)[^>]*\bsrc="((?:https?:)?//[^"]*)"'
        r'|<link[^>]*\bhref="((?:https?:)?//[^"]*)"'
    )
    assert loads.search('<script src="https://example.org/a.js"></script>')
    pages = list(site.rglob('*.html'))
    assert len(pages) > 15
    for page in pages:
        found = loads.findall(page.read_text('utf-8'))
        assert found == [], page.name


def test_broken_link_stops_the_build(config, tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    text = CONFIG.read_text('utf-8')
    text = re.sub(r'\nnav:.*|\nhooks:\n  - \S+', '', text, flags=re.DOTALL)
    (tmp_path / 'config').mkdir()
    (tmp_path / 'config/mkdocs.yml').write_text(text)
    (tmp_path / 'index.md').write_text('[nowhere](nowhere.md)')
    broken = load_config(
        str(tmp_path / 'config/mkdocs.yml'),
        site_dir=str(tmp_path.parent / f'{tmp_path.name}_site'),
    )
    with pytest.raises(Abort, match='strict'):
        build(broken)


def test_pin_is_the_one_of_the_tests():
    pins = [
        re.findall(
            r'^mkdocs==[\d.]+',
            (REPO / 'requirements' / name).read_text('utf-8'),
            re.MULTILINE,
        )
        for name in ('docs.txt', 'tests.txt')
    ]
    assert len(pins[0]) == 1
    assert pins[0] == pins[1]
