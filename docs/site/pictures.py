#!/usr/bin/env python
"""Draw the pictures of the documents with the demo's weights.

    make demo
    python docs/site/pictures.py

It is always the same scenes, chosen by their ground truth. With --webdemo it
takes the picture of the running page instead, its second example predicted,
which needs chromium and chromedriver (on Debian: apt install chromium
chromium-driver):

    python docs/site/pictures.py --webdemo http://127.0.0.1:7860
"""

import argparse
import shutil
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmdet.apis import init_detector
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    SessionNotCreatedException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait
from tqdm import tqdm

from freeseg_mm.cli.main import user_errors
from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.shapes.demo import PICTURE_MODES
from freeseg_mm.shapes.mode_scores import (
    choose_unseen,
    picture_modes,
    predict,
    read_image,
)
from freeseg_mm.structures import Task
from freeseg_mm.utils.run_config import read_config
from freeseg_mm.visualization import (
    comparison,
    draw_segments,
    legend,
    panel,
)
from freeseg_mm.visualization.browsing import sample_pictures
from freeseg_mm.visualization.palette import VISIONS, simulate

# Of scenes of 128 pixels.
SCALE = 2
GAP = 6
LEGEND_WIDTH = 640

PATIENCE = 300
ATTEMPTS = 5
FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--hide-scrollbars',
    '--window-size=1280,1180',
)


def docs_pictures(
    model: FreeSeg,
    test: OpenVocabPanopticDataset,
    train: OpenVocabPanopticDataset,
    modes: Mapping[str, str] = PICTURE_MODES,
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw all forms, on images that are chosen by their ground truth alone.

    Args:
        model: The model, on the device to test on.
        test: A dataset in test mode.
        train: A dataset with its training pipeline.
        modes: Ensemble mode by title, for the picture that compares them.

    Yields:
        Name without suffix, and picture, RGB, (H, W, 3), uint8.

    Raises:
        ValueError: If no test image shows an unseen class.
    """
    words = test.vocabulary
    tasks = list(Task)
    chosen = choose_unseen(test, 1 + len(tasks))
    if not chosen:
        raise ValueError(
            'no test image shows an unseen class; choose other data'
        )
    first, *others = islice(cycle(chosen), 1 + len(tasks))
    yield (
        'shapes_demo',
        picture_modes(model, test, first, modes, scale=SCALE),
    )
    for index, task in zip(others, tasks, strict=True):
        shown = read_image(test, index)
        predictions = predict(model, shown)
        rows = {'ground truth': shown.gt, 'prediction': predictions}
        of_task = {name: {task: views[task]} for name, views in rows.items()}
        yield task.value, panel(shown.image, of_task, words, scale=SCALE)
    # of the last image, whose regions are the panoptic ones
    yield (
        'prediction',
        panel(shown.image, {'prediction': predictions}, words, scale=SCALE),
    )
    yield 'side_by_side', panel(shown.image, rows, words, scale=SCALE)
    clip = model.predict_options.override(mode='clip')
    sides = {'FreeSeg': predictions, 'CLIP alone': predict(model, shown, clip)}
    yield 'compare', comparison(shown.image, sides, words)
    cell = draw_segments(
        shown.image, shown.gt[Task.PANOPTIC], words, scale=SCALE
    )
    yield 'colour_blind', as_seen(cell)
    yield (
        'legend',
        legend(range(len(words)), words, width=LEGEND_WIDTH).picture,
    )
    ((_, browsed),) = sample_pictures(train, 1, show_seed=True)
    yield 'browse', browsed


def as_seen(picture: np.ndarray) -> np.ndarray:
    """A picture as each of ``VISIONS`` sees it, side by side.

    Args:
        picture: RGB, (H, W, 3), uint8.

    Returns:
        RGB, (H, W', 3), uint8.
    """
    gap = np.zeros((len(picture), GAP, 3), np.uint8)
    columns = []
    for vision in VISIONS:
        seen = np.rint(255 * simulate(picture / 255, vision))
        columns += [seen.astype(np.uint8), gap]
    return np.concatenate(columns[:-1], axis=1)


def write_small_png(picture: np.ndarray, path: Path) -> None:
    """Write a picture, RGB, (H, W, 3), uint8, with no more than 256 colours.

    No eye misses the others, and the file is small enough for a repository.
    """
    few = Image.fromarray(picture).quantize(
        method=Image.Quantize.FASTOCTREE,
        dither=Image.Dither.NONE,
    )
    few.save(path, optimize=True)


def find_programs() -> tuple[str, str] | None:
    """Paths of chromium and chromedriver, if both are installed."""
    chromium, driver = map(shutil.which, ('chromium', 'chromedriver'))
    return (chromium, driver) if chromium and driver else None


def open_browser(programs: tuple[str, str], folder: Path) -> webdriver.Chrome:
    """Start chromium with an empty profile; downloads go to the folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.add_experimental_option(
        'prefs',
        {
            'download.default_directory': str(folder),
            'profile.default_content_setting_values.automatic_downloads': 1,
        },
    )
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    for flag in (*FLAGS, f'--user-data-dir={folder / "profile"}'):
        options.add_argument(flag)
    for attempt in range(ATTEMPTS):
        try:
            driver = webdriver.Chrome(options, Service(programs[1]))
            break
        # chromedriver gives a busy machine a minute
        except SessionNotCreatedException:
            if attempt == ATTEMPTS - 1:
                raise
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    return driver


class Visitor:
    """Someone who looks at the page and presses its buttons."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url
        browser.get(url)
        self.find('#segment')

    def find(self, selector: str, index: int = 0) -> Any:
        """Wait for an element."""
        return self.wait_for(
            lambda: self.browser.find_elements('css selector', selector)[
                index : index + 1
            ]
        )[0]

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is true; the page replaces its elements."""
        passing = (NoSuchElementException, StaleElementReferenceException)
        wait = WebDriverWait(
            self.browser, PATIENCE, ignored_exceptions=passing
        )
        return wait.until(lambda _: condition())

    def click(self, selector: str, index: int = 0) -> None:
        """Press an element that may lie out of sight."""
        element = self.find(selector, index)
        self.browser.execute_script('arguments[0].click()', element)

    def take_example(self, index: int) -> None:
        """Click an example and wait until the form is filled in."""
        self.click('tr.tr-body', index)
        self.wait_for(
            lambda: self.find('#words textarea').get_attribute('value')
        )
        self.find('#image img')

    def picture(self, selector: str) -> Any:
        """An image element that has arrived."""
        image = self.find(f'{selector} img')
        self.wait_for(
            lambda: self.browser.execute_script(
                'return arguments[0].complete && arguments[0].naturalWidth',
                image,
            )
        )
        return image


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--config',
        type=Path,
        default=Path('work_dirs/demo/config.py'),
        help='of the shapes benchmark (default: %(default)s)',
    )
    parser.add_argument(
        '--checkpoint',
        type=Path,
        default=Path('work_dirs/demo/train/iter_1500.pth'),
        help='its weights (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('docs/images'),
        help='folder of the pictures (default: %(default)s)',
    )
    parser.add_argument(
        '--webdemo',
        metavar='URL',
        help='picture this page, as freeseg-mm webdemo printed it',
    )
    return parser.parse_args()


def draw(config_path: Path, checkpoint: Path, out: Path) -> None:
    """Write every form of picture, by the weights of a checkpoint."""
    for path in (config_path, checkpoint):
        if not path.is_file():
            raise FileNotFoundError(f'no file {path}; run make demo')
    config = read_config(config_path)
    test, train = (
        build_dataset(dataset_configs(config, split)[0])
        for split in ('test', 'train')
    )
    model = init_detector(
        config, str(checkpoint), palette='random', device='cpu'
    )
    for name, picture in tqdm(docs_pictures(model, test, train), 'drawing'):
        write_small_png(picture, out / f'{name}.png')


def take_picture(visitor: Visitor, path: Path) -> None:
    """Have the second example predicted, and write what the page shows."""
    visitor.take_example(1)
    visitor.click('#segment')
    visitor.find('#legend-panoptic .freeseg-legend')
    visitor.picture('#picture-panoptic')
    visitor.browser.execute_script('window.scrollTo(0, 0)')
    shot = Image.open(BytesIO(visitor.browser.get_screenshot_as_png()))
    write_small_png(np.asarray(shot.convert('RGB')), path)


def picture_page(url: str, path: Path) -> None:
    """Picture the page at an address, by a browser of its own."""
    programs = find_programs()
    if programs is None:
        raise FileNotFoundError(
            'chromium or chromedriver is missing (on Debian: apt install '
            'chromium chromium-driver)'
        )
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = open_browser(programs, Path(folder))
        try:
            take_picture(Visitor(browser, url), path)
        finally:
            browser.quit()


def main() -> None:
    """Write the pictures of the pages, or the one of the web page."""
    args = parse_args()
    with user_errors('pictures'):
        args.out.mkdir(parents=True, exist_ok=True)
        if args.webdemo:
            picture_page(args.webdemo, args.out / 'webdemo.png')
        else:
            draw(args.config, args.checkpoint, args.out)
        print(f'pictures are in {args.out}')


if __name__ == '__main__':
    main()
