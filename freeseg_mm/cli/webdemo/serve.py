"""``freeseg-mm serve``: image and words in by HTTP, JSON or a picture out."""

import argparse
import asyncio
import logging
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from io import BytesIO
from ipaddress import ip_address
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from freeseg_mm.cli.arguments import add_model_arguments, inferencer_of

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from freeseg_mm.apis import FreeSegInferencer, ImageResult

    from .form import Limits, Request

EXAMPLES = """examples:
  freeseg-mm serve
  freeseg-mm serve --config fcclip_convnext_large --port 8000 --batch-size 4
  curl -F image=@photo.jpg -F classes='cat|kitten, dog, grass' \\
      http://127.0.0.1:8000/predict

/openapi.json says what can be asked for. The server is for this machine alone
unless --host says otherwise, and there is no password. Exit status: 0 when it
was stopped with Ctrl+C; 1 after saying what was wrong; 2 for wrong usage.
"""
_NEEDED = ('fastapi', 'uvicorn', 'python_multipart')
_SHUTDOWN_SECONDS = 3
_LOOK_SECONDS = 0.2  # between two looks whether a client is still there
_FORM_BYTES = 2**16  # of a request beside its image
_CONNECTIONS = 64  # beside those that wait
_SLOW_SECONDS = 20.0  # that a URL may take


def add_parser(commands: Any) -> None:
    """Add ``serve`` to the subcommands."""
    parser = commands.add_parser(
        'serve',
        help='predict images that are sent by HTTP',
        description='Serve predictions by HTTP.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_address(parser, 8000)
    add_model_arguments(parser)
    parser.add_argument(
        '--batch-size',
        type=int,
        default=4,
        metavar='B',
        help='images of one size and with the same words that wait at the '
        'same time pass the network together, at most so many (default 4)',
    )
    parser.add_argument(
        '--queue',
        type=int,
        default=32,
        metavar='N',
        help='further requests are refused while so many wait (default 32)',
    )
    parser.set_defaults(run=run, prompt_tuning=None)


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Add where to listen, and the limits of images."""
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on (default 127.0.0.1, this machine alone); '
        '0.0.0.0 lets in everyone who can reach it',
    )
    parser.add_argument(
        '--port',
        type=int,
        default=port,
        help=f'default {port}; 0 for any free',
    )
    parser.add_argument(
        '--max-side',
        dest='largest_side',
        type=int,
        default=4096,
        metavar='PIXELS',
        help='images with a longer side are refused (default 4096); those '
        'over 2048 are predicted at 2048, then enlarged',
    )
    parser.add_argument(
        '--max-upload-mb',
        type=float,
        default=20,
        metavar='MB',
        help='larger files are refused (default 20)',
    )


def missing_packages(command: str, needed: Iterable[str]) -> bool:
    """Say which packages a server lacks, if it does."""
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        print(
            f'freeseg-mm: {command} needs {", ".join(missing)}; run `pip '
            'install -r requirements/webdemo.txt` or `pip install '
            "'freeseg_mm[webdemo]'`",
            file=sys.stderr,
        )
    return bool(missing)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C; mistakes are refused before weights are loaded."""
    if missing_packages('serve', _NEEDED):
        return 1
    from freeseg_mm.utils.errors import require_whole

    from .form import PREDICTED_SIDE, Limits

    require_whole('--batch-size', args.batch_size, 1)
    require_whole('--queue', args.queue, 1)
    args.max_side = PREDICTED_SIDE
    limits = Limits(args.max_upload_mb, args.largest_side)
    with listen(args.host, args.port) as listening:
        batcher = Batcher(
            inferencer_of(args), limits, args.batch_size, args.queue
        )
        server = http_server(batcher)
        return run_server(server, listening, args.host, 'predictions are')


def run_server(
    server: 'uvicorn.Server', listening: socket.socket, host: str, what: str
) -> int:
    """Run a server until Ctrl+C; say where what is, and who is let in."""
    address = address_of(listening)
    print(f'{what} at {address} (Ctrl+C stops it)', flush=True)
    if not is_local(host):
        print(
            f'freeseg-mm: --host {host} lets in everyone who can reach this '
            'machine; there is no password',
            file=sys.stderr,
        )
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Open the socket, before anything slow is done.

    Args:
        host: A name or address of this machine; ``0.0.0.0`` for all.
        port: 0 for any that is free.

    Raises:
        OSError: If the address is taken, forbidden or not of this machine.
        ValueError: If there is no such port.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f'--port: expected 0 to 65535, got {port}')
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f'cannot listen on {host}, port {port} ({error.strerror}); '
            'choose others with --host and --port (0 for any free port)'
        ) from error


def address_of(listening: socket.socket) -> str:
    """URL of a server on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ('0.0.0.0', '::'):
        host = '127.0.0.1'
    return (
        f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'
    )


def is_local(host: str) -> bool:
    """Tell whether only this machine can reach a host of this name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


# --- predictions -------------------------------------------------------------


class BusyError(Exception):
    """As many requests wait as may."""


@dataclass(eq=False)
class _Waiting:
    """A request whose turn has not come.

    Attributes:
        request: Its fields, checked; its image is a file.
        done: Its result.
    """

    request: 'Request'
    done: 'asyncio.Future[ImageResult]' = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def words(self) -> tuple[Any, ...]:
        """Everything but the image: equal ones share a pass."""
        asked = self.request
        return (asked.classes, asked.things, asked.tasks, asked.score_thr)


class Batcher:
    """Predicts what many clients ask for with one network.

    Results are those that each would get alone: only images of one size, with
    the same words, tasks and threshold, pass the network together.

    Args:
        inferencer: The network.
        limits: Of the requests.
        batch_size: Most images at once.
        max_waiting: Most requests that wait for their turn.

    Attributes:
        limits: The same.
        max_waiting: The same.
        waiting: Requests whose turn has not come, in order.
    """

    def __init__(
        self,
        inferencer: 'FreeSegInferencer',
        limits: 'Limits',
        batch_size: int = 4,
        max_waiting: int = 32,
    ) -> None:
        self.limits = limits
        self.waiting: deque[_Waiting] = deque()
        self._inferencer = inferencer
        self._batch_size = batch_size
        self.max_waiting = max_waiting
        self._asked = asyncio.Event()
        # of its own: slow downloads may hold all others
        self._thread = ThreadPoolExecutor(1)

    async def predict(
        self, request: 'Request', is_gone: Callable[[], Any]
    ) -> 'ImageResult | None':
        """Wait for a prediction.

        Args:
            request: The fields.
            is_gone: Asked again and again whether the client has left.

        Returns:
            The result; ``None`` if the client left, which gives up its turn.

        Raises:
            BusyError: If too many wait already.
            ValueError: If the image cannot be read or predicted.
        """
        if len(self.waiting) >= self.max_waiting:
            raise BusyError
        mine = _Waiting(request)
        self.waiting.append(mine)
        self._asked.set()
        while not mine.done.done():
            await asyncio.wait([mine.done], timeout=_LOOK_SECONDS)
            if not mine.done.done() and await is_gone():
                mine.done.cancel()
                if mine in self.waiting:
                    self.waiting.remove(mine)
                return None
        return mine.done.result()

    async def serve(self) -> None:
        """Predict what waits, for ever."""
        while True:
            self._asked.clear()
            while batch := self._next():
                outcomes = await asyncio.get_running_loop().run_in_executor(
                    self._thread,
                    self._outcomes,
                    [entry.request for entry in batch],
                )
                for entry, outcome in zip(batch, outcomes, strict=True):
                    if entry.done.done():  # its client has left
                        continue
                    if isinstance(outcome, Exception):
                        entry.done.set_exception(outcome)
                    else:
                        entry.done.set_result(outcome)
            await self._asked.wait()

    def _next(self) -> list[_Waiting]:
        """Take the first, and others with its words."""
        batch = [
            entry
            for entry in self.waiting
            if entry.words == self.waiting[0].words
        ][: self._batch_size]
        for entry in batch:
            self.waiting.remove(entry)
        return batch

    def _outcomes(
        self, requests: list['Request']
    ) -> list['ImageResult | Exception']:
        """Read and predict images; an error in the place of what fails."""
        from freeseg_mm.apis.inputs import InputImage, read_image
        from freeseg_mm.apis.results import ImageResult

        outcomes: dict[int, ImageResult | Exception] = {}
        read: list[tuple[int, InputImage]] = []
        for index, request in enumerate(requests):
            try:
                read.append((index, read_image(str(request.image))))
            except (OSError, ValueError) as error:
                outcomes[index] = _unnamed(error, request.image)
        read.sort(key=lambda entry: entry[1].pixels.shape)
        asked = requests[0]
        for _, group in groupby(read, lambda entry: entry[1].pixels.shape):
            same = list(group)
            try:
                found: list[Any] = list(
                    self._inferencer.stream(
                        [image.pixels for _, image in same],
                        asked.classes,
                        things=asked.things,
                        tasks=[task.value for task in asked.tasks],
                        score_thr=asked.score_thr,
                        batch_size=len(same),
                    )
                )
            except Exception as error:  # theirs alone, not the server's end
                found = [error] * len(same)
            for (index, image), each in zip(same, found, strict=True):
                if isinstance(each, ImageResult):
                    each = replace(
                        each, source='image', notes=image.notes + each.notes
                    )
                elif not isinstance(each, Exception):
                    each = ValueError(each.reason)
                outcomes[index] = each
        return [outcomes[index] for index in range(len(requests))]


def _unnamed(error: Exception, path: Path) -> ValueError:
    """An error that names no folder of the server."""
    return ValueError(str(error).replace(str(path), 'image'))


# --- HTTP --------------------------------------------------------------------


def http_server(batcher: Batcher) -> 'uvicorn.Server':
    """Make a server; give its ``run`` the sockets it is to listen on."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            build_app(batcher),
            # its own would close all log files of this process
            log_config=None,
            log_level='warning',
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            limit_concurrency=batcher.max_waiting + _CONNECTIONS,
        )
    )


def build_app(batcher: Batcher) -> 'FastAPI':
    """Lay out what can be asked for."""
    from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
    from fastapi.responses import JSONResponse, Response

    from freeseg_mm.structures import Task
    from freeseg_mm.version import __version__

    from . import form as fields

    @asynccontextmanager
    async def predicting(_: FastAPI) -> Any:
        task = asyncio.create_task(batcher.serve())
        yield
        task.cancel()

    app = FastAPI(
        title='FreeSeg',
        version=__version__,
        lifespan=predicting,
        max_body_size=batcher.limits.max_bytes + _FORM_BYTES,
        # their scripts come from elsewhere
        docs_url=None,
        redoc_url=None,
    )
    problem = {
        'type': 'object',
        'required': ['detail'],
        'properties': {'detail': {'type': 'string'}},
    }
    problems: dict[int | str, dict[str, Any]] = {
        status: {
            'description': text,
            'content': {'application/json': {'schema': problem}},
        }
        for status, text in {
            400: 'A field or the image is unusable.',
            500: 'The network failed.',
            503: 'Too many requests wait.',
        }.items()
    }

    @app.get('/health')
    async def health() -> dict[str, Any]:
        """Tell that the server is there, and how many requests wait."""
        return {'status': 'ok', 'waiting': len(batcher.waiting)}

    @app.post(
        '/predict',
        responses={
            **problems,
            413: {
                'description': 'The request is too large.',
                'content': {'text/plain': {}},
            },
            200: {
                'description': 'What is in the image; masks as run-length '
                'codes of COCO. Or a picture.',
                'content': {
                    'application/json': {'schema': {'type': 'object'}},
                    'image/png': {},
                },
            },
        },
    )
    async def predict(
        asked: Request,
        classes: Annotated[str, Form(description='cat|kitten, dog, grass')],
        image: Annotated[UploadFile | None, File(description='a file')] = None,
        url: Annotated[str | None, Form(description='or its URL')] = None,
        things: Annotated[str, Form(description='countable classes')] = '',
        tasks: Annotated[list[Task], Form()] = list(Task),  # noqa: B006
        score_thr: Annotated[float, Form(ge=0, le=1)] = 0.3,
        format: Annotated[Literal['json', 'png'], Form()] = 'json',
    ) -> Response:
        """Segment an image by any class names."""
        if (image is None) == (url is None):
            raise HTTPException(400, 'expected one of image and url')
        with tempfile.NamedTemporaryFile(prefix='freeseg_serve_') as file:
            path = Path(file.name)
            try:
                await asyncio.to_thread(
                    _receive, image and image.file, url, file, batcher.limits
                )
                checked = await asyncio.to_thread(
                    fields.read_form,
                    fields.Form(str(path), classes, things, tasks, score_thr),
                    batcher.limits,
                )
                result = await batcher.predict(checked, asked.is_disconnected)
            except BusyError:
                raise HTTPException(
                    503,
                    'too many requests wait; ask again later',
                    {'Retry-After': '5'},
                ) from None
            except (OSError, ValueError) as error:
                detail = str(error).replace(str(path), 'image')
                detail = detail.replace(path.name, 'image')
                raise HTTPException(400, detail) from error
            except Exception as error:  # the network's; others go on
                logging.getLogger(__name__).exception('a prediction failed')
                detail = 'the prediction failed; the log says why'
                raise HTTPException(500, detail) from error
        if result is None:
            return Response(status_code=499)  # nobody reads it
        if format == 'png':
            picture = await asyncio.to_thread(_picture, result)
            return Response(picture, media_type='image/png')
        return JSONResponse(await asyncio.to_thread(result.to_json))

    return app


def _receive(
    upload: Any, url: str | None, file: Any, limits: 'Limits'
) -> None:
    """Bring an image to a file."""
    from freeseg_mm.utils.fetch import fetch

    if url is not None:
        fetch(url, file, max_bytes=limits.max_bytes, seconds=_SLOW_SECONDS)
    else:
        while block := upload.read(2**20):
            file.write(block)
    file.flush()


def _picture(result: 'ImageResult') -> bytes:
    content = BytesIO()
    result.plot().save(content, 'PNG')
    return content.getvalue()
