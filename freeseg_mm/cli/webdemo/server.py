"""Server of the page, which contacts no other machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response

from .page import STYLE, build_page, write_examples
from .predictor import Predictor

_SHUTDOWN_SECONDS = 3
# A browser may load scripts, styles and data of this server, and what they
# make themselves.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "object-src 'none'; base-uri 'self'"
)


@contextmanager
def prepared_server(predictor: Predictor) -> Iterator[uvicorn.Server]:
    """Make a server that is ready to run.

    Uploads and predictions lie in a temporary folder of its own, which is
    gone afterwards.

    Args:
        predictor: Predicts the forms of the page.

    Yields:
        The server; give its ``run`` the sockets it is to listen on.
    """
    with TemporaryDirectory(prefix='freeseg_webdemo_') as folder:
        settings = {
            'GRADIO_TEMP_DIR': folder,
            'GRADIO_ANALYTICS_ENABLED': 'False',
        }
        with _environment(settings):
            yield uvicorn.Server(_server_config(predictor, Path(folder)))


def _server_config(predictor: Predictor, folder: Path) -> uvicorn.Config:
    page = build_page(predictor, write_examples(folder))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware('http')
    async def add_policy(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers['Content-Security-Policy'] = _POLICY
        return response

    gr.mount_gradio_app(
        app,
        page,
        path='/',
        footer_links=[],
        run_history=False,
        max_file_size=predictor.limits.max_bytes,
        ssr_mode=False,
        mcp_server=False,
        # the default's fonts come from elsewhere
        theme=gr.themes.Default(
            primary_hue='indigo',
            font=['system-ui', 'sans-serif'],
            font_mono=['ui-monospace', 'monospace'],
        ),
        css_paths=[STYLE],
    )
    return uvicorn.Config(
        app,
        # its own would close all log files of this process
        log_config=None,
        log_level='warning',
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set environment variables of gradio, for a while."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
