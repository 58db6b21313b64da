#!/usr/bin/env python
"""Write a picture of the running page: its second example, answered.

Needs chromium and chromedriver (on Debian: apt install chromium
chromium-driver).
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    SessionNotCreatedException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from freeseg_mm.visualization.small_png import write_small_png

PATIENCE = 300
_ATTEMPTS = 5
_FLAGS = (
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
    for flag in (*_FLAGS, f'--user-data-dir={folder / "profile"}'):
        options.add_argument(flag)
    for attempt in range(_ATTEMPTS):
        try:
            driver = webdriver.Chrome(options, Service(programs[1]))
            break
        # chromedriver gives a busy machine a minute
        except SessionNotCreatedException:
            if attempt == _ATTEMPTS - 1:
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


def take_picture(visitor: Visitor, out: Path) -> None:
    """Have the second example answered, and look."""
    visitor.take_example(1)
    visitor.click('#segment')
    visitor.find('#legend-panoptic .freeseg-legend')
    visitor.picture('#picture-panoptic')
    visitor.browser.execute_script('window.scrollTo(0, 0)')
    shot = Image.open(BytesIO(visitor.browser.get_screenshot_as_png()))
    write_small_png(np.asarray(shot.convert('RGB')), out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('url', help='as freeseg-mm webdemo printed it')
    parser.add_argument('out', type=Path, help='PNG to write')
    args = parser.parse_args()
    programs = find_programs()
    if programs is None:
        print(
            'webdemo_picture: chromium or chromedriver is missing (on Debian: '
            'apt install chromium chromium-driver)',
            file=sys.stderr,
        )
        return 1
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = open_browser(programs, Path(folder))
        try:
            take_picture(Visitor(browser, args.url), args.out)
        finally:
            browser.quit()
    print(f'wrote {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
