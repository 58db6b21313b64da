"""Serve the page from this machine alone, and ask no other for anything."""

import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

from .answering import Answerer
from .examples import write_examples
from .page import STYLE, build_page

_SHUTDOWN_SECONDS = 3
# What a browser may load: scripts, styles and data of this server, and what
# they make themselves.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "object-src 'none'; base-uri 'self'"
)
_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_Receive = Callable[[], Awaitable[_Message]]


@contextmanager
def prepared_server(answerer: Answerer) -> Iterator[uvicorn.Server]:
    """Make a server that is ready to run.

    Uploads and answers lie in a temporary folder of its own, which is gone
    afterwards.

    Args:
        answerer: Answers what the page asks.

    Yields:
        The server; give its ``run`` the sockets it is to listen on.
    """
    with TemporaryDirectory(prefix='freeseg_webdemo_') as folder:
        settings = {
            'GRADIO_TEMP_DIR': folder,
            'GRADIO_ANALYTICS_ENABLED': 'False',
        }
        with _environment(settings):
            yield uvicorn.Server(_server_config(answerer, Path(folder)))


def _server_config(answerer: Answerer, folder: Path) -> uvicorn.Config:
    page = build_page(answerer, write_examples(folder))
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path='/',
        footer_links=[],
        run_history=False,
        max_file_size=answerer.limits.max_bytes,
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
        _with_policy(app),
        # its own would close all log files of this process
        log_config=None,
        log_level='warning',
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set what gradio reads from the environment, for a while."""
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


def _with_policy(app: Any) -> Any:
    """Have browsers refuse whatever is not of this server."""
    header = (b'content-security-policy', _POLICY.encode())

    async def wrapped(scope: _Message, receive: _Receive, send: _Send) -> None:
        async def send_with_header(message: _Message) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [*message.get('headers', []), header]
            await send(message)

        await app(scope, receive, send_with_header)

    return wrapped
