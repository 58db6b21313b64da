"""The page in a real browser: Debian's chromium, headless."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli.webdemo.form import Form
from freeseg_mm.visualization import class_colours

# Colours of a picture at some places, (x, y).
READ_PIXELS = """
const image = arguments[0], canvas = document.createElement('canvas');
canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
const pen = canvas.getContext('2d');
pen.drawImage(image, 0, 0);
const colours = arguments[1].map(
    ([x, y]) => Array.from(pen.getImageData(x, y, 1, 1).data.slice(0, 3)));
return [canvas.width, canvas.height, colours];
"""


@pytest.fixture(scope='module')
def tool(repo):
    """docs/site/pictures.py, which knows its way about the page."""
    pytest.importorskip('gradio')
    pytest.importorskip('selenium')
    spec = importlib.util.spec_from_file_location(
        'docs_pictures', repo / 'docs/site/pictures.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp('browser')


@pytest.fixture(scope='module')
def browser(tool, downloads):
    programs = tool.find_programs()
    if programs is None:
        pytest.skip(
            'no chromium and chromedriver (on Debian: apt install chromium '
            'chromium-driver)'
        )
    from selenium.common.exceptions import WebDriverException

    try:
        driver = tool.open_browser(programs, downloads)
    except WebDriverException as error:
        pytest.skip(f'chromium does not start here: {error.msg}')
    yield driver
    driver.quit()


@pytest.fixture
def visitor(tool, browser, page):
    return tool.Visitor(browser, page.url)


def fill_in(visitor, image, words, things=''):
    visitor.find('#image input[type=file]').send_keys(str(image))
    visitor.find('#image img')  # the preview shows that it is there
    visitor.find('#words textarea').send_keys(words)
    if things:
        visitor.find('#things textarea').send_keys(things)


def pixels(visitor, selector, places):
    return visitor.browser.execute_script(
        READ_PIXELS, visitor.picture(selector), places
    )


def test_words_and_an_image_become_segments(visitor, halves, black, downloads):
    fill_in(visitor, black, 'cat, grass', 'cat')
    visitor.click('#segment')
    legend = visitor.find('#legend-panoptic .freeseg-legend')
    assert 'black.png: 96 x 64 pixels' in visitor.find('#summary').text

    # A region has six tenths of its colour over the image, here black.
    cat, grass = np.rint(0.6 * class_colours(['cat', 'grass']))
    width, height, (found, nothing) = pixels(
        visitor, '#picture-panoptic', [(20, 20), (360, 20)]
    )
    assert (width, height) == (384, 256)
    assert found == cat.tolist()
    assert nothing[0] in (56, 84)  # the stripes of no segment
    assert nothing[0] == nothing[1] == nothing[2]
    assert [cell.text for cell in legend.find_elements('tag name', 'td')] == [
        *('', 'cat', 'thing', '0.75', '50.0%')
    ]

    visitor.click('#results button[role=tab]', 2)
    places = [(20, 20), (360, 20), (20, 240), (360, 240)]
    _, _, colours = pixels(visitor, '#picture-semantic', places)
    assert colours == 2 * [cat.tolist(), grass.tolist()]
    legend = visitor.find('#legend-semantic .freeseg-legend')
    visitor.wait_for(lambda: 'grass ★' in legend.text)

    visitor.click('#json')
    visitor.click('#png')
    names = ('black_prediction.json', 'black_prediction.png')
    text, png = (downloads / name for name in names)
    # chromium gives a file its name when it is whole
    visitor.wait_for(lambda: text.exists() and png.exists())
    prediction = halves.predict(Form(str(black), 'cat, grass', 'cat'))
    assert json.loads(text.read_text('utf-8')) == prediction.content
    with Image.open(png) as picture:
        assert np.array_equal(picture, prediction.picture)


def test_an_example_is_predicted_and_pictured(tool, visitor, tmp_path):
    tool.take_picture(visitor, tmp_path / 'page.png')
    words = visitor.find('#words textarea').get_attribute('value')
    assert words.startswith('green square|green box, black triangle')
    assert 'scene_7.png: 128 x 128' in visitor.find('#summary').text
    with Image.open(tmp_path / 'page.png') as picture:
        assert picture.width == 1280


def test_a_mistake_is_said(visitor):
    visitor.find('#words textarea').send_keys('cat')
    visitor.click('#segment')
    message = visitor.find('.toast-body')
    visitor.wait_for(lambda: 'no image: drop one' in message.text)


def test_the_browser_asks_this_machine_alone(visitor, black):
    fill_in(visitor, black, 'cat, grass')
    visitor.click('#segment')
    visitor.find('#legend-panoptic .freeseg-legend')
    messages = [
        json.loads(entry['message'])['message']
        for entry in visitor.browser.get_log('performance')
    ]
    asked = [
        message['params']['request']['url']
        for message in messages
        if message['method'] == 'Network.requestWillBeSent'
    ]
    # not chrome: and data:, which ask nobody
    asked = [url for url in asked if url.startswith(('http', 'ws'))]
    assert asked
    assert [url for url in asked if not url.startswith(visitor.url)] == []
