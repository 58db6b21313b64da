"""Exported networks, run by onnxruntime and numpy alone.

Written by ``freeseg-mm export``. This module needs neither PyTorch nor
OpenMMLab: copy the folder and install ``freeseg_mm`` without dependencies,
numpy and onnxruntime.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from freeseg_mm.utils.errors import is_number, require_share, require_whole
from freeseg_mm.utils.names import normal_name, shown

Network: TypeAlias = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""From the inputs of an exported network, by name, to its outputs."""

ONNX_FILE = 'model.onnx'
_SPEC_FILE = 'model.json'
_WORDS_FILE = 'words.json'
_TEXTS = ('text', 'clip_text')
_BAND = 2**22  # scores or mask values of a band of rows, at once
_ANTIALIASED = 'pillow'  # the backend that averages when it shrinks
_LARGEST_SIDE = 2**15  # of what a network takes


@dataclass(frozen=True)
class Spec:
    """Everything about an exported network but its weights and words.

    Attributes:
        tasks: Predicted ones, in order, of semantic, instance, panoptic.
        text_inputs: Names of the inputs that take text embeddings; none if
            the words are fixed.
        scale: Longest and shortest side that an image is brought to.
        keep_ratio: Whether its aspect is kept; else ``scale`` is its size.
        backend: ``cv2`` or ``pillow``, whose resizing the network knows.
        mean: Of the channels, in the network's order.
        std: The same.
        to_rgb: Whether the network takes RGB, else BGR.
        divisor: Sides are padded to multiples of it.
        options: Those of the prediction, as
            :class:`freeseg_mm.models.predict_options.PredictOptions` has
            them.
        version: Of the package that wrote it.

    Raises:
        ValueError: If a value is none that an export writes.
    """

    tasks: tuple[str, ...]
    text_inputs: tuple[str, ...]
    scale: tuple[int, int]
    keep_ratio: bool
    backend: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool
    divisor: int
    options: Mapping[str, Any]
    version: str

    def __post_init__(self) -> None:
        tasks, inputs = self.tasks, self.text_inputs
        for name, is_good in (
            ('tasks', bool(tasks) and _are_among(tasks, (*_PREDICTED,))),
            ('text_inputs', _are_among(inputs, _TEXTS)),
            ('scale', _are_numbers(self.scale, 2)),
            ('keep_ratio', isinstance(self.keep_ratio, bool)),
            ('backend', self.backend in ('cv2', _ANTIALIASED)),
            ('mean', _are_numbers(self.mean, 3)),
            ('std', _are_numbers(self.std, 3) and min(self.std) > 0),
            ('to_rgb', isinstance(self.to_rgb, bool)),
            ('options', isinstance(self.options, Mapping)),
        ):
            if not is_good:
                raise ValueError(f'{name} is {shown(getattr(self, name))}')
        for name, number in (
            *(('scale', side) for side in self.scale),
            ('divisor', self.divisor),
        ):
            require_whole(name, number, 1)
            if number > _LARGEST_SIDE:
                raise ValueError(f'{name}: {number:,} pixels are too many')
        unknown = sorted(set(self.options) ^ set(OPTIONS))
        if unknown:
            raise ValueError(f'options {unknown} are unknown or missing')
        _check_options(self.options)

    def save(self, folder: Path) -> None:
        """Write it beside the network."""
        text = json.dumps(asdict(self), indent=2)
        (folder / _SPEC_FILE).write_text(f'{text}\n', 'utf-8')

    @classmethod
    def load(cls, folder: Path) -> 'Spec':
        """Read it.

        Raises:
            FileNotFoundError: If the folder has none.
            ValueError: If it is none, or of another version's making.
        """
        content = _read(folder / _SPEC_FILE, cls)
        with _naming(folder / _SPEC_FILE):
            return cls(**content)


@dataclass(frozen=True)
class Words:
    """Classes of a prediction, with what the network read of their names.

    Attributes:
        names: Of the C classes.
        is_thing: Whether they are countable.
        is_seen: Whether their scores were trained.
        prompt_to_class: Class of each name and synonym that the network
            scores, ascending.
        texts: Text embeddings by the network's input, (T, P, D) float32;
            empty if it knows its words.

    Raises:
        ValueError: If they are of another type, or do not belong together.
    """

    names: tuple[str, ...]
    is_thing: tuple[bool, ...]
    is_seen: tuple[bool, ...]
    prompt_to_class: tuple[int, ...]
    texts: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.names) if isinstance(self.names, tuple) else 0
        kinds = {'names': str, 'is_thing': bool, 'is_seen': bool}
        for name, kind in {**kinds, 'prompt_to_class': int}.items():
            value = getattr(self, name)
            if (
                not isinstance(value, tuple)
                or not count
                or not all(type(each) is kind for each in value)
                or (kind is not int and len(value) != count)
            ):
                raise ValueError(f'{name} is {shown(value)}')
        if len(set(map(normal_name, self.names))) < count:
            raise ValueError(f'names are {shown(self.names)}, each once')
        prompts = list(self.prompt_to_class)
        if prompts != sorted(prompts) or set(prompts) != {*range(count)}:
            raise ValueError(
                f'prompt_to_class is {shown(prompts)}, expected 0 to '
                f'{count - 1}, ascending'
            )
        for name, embeds in self.texts.items():
            if (
                embeds.dtype != np.float32
                or embeds.ndim != 3
                or embeds.shape[1] != len(prompts)
                or not np.isfinite(embeds).all()
            ):
                raise ValueError(
                    f'{name} is {embeds.shape} {embeds.dtype}, expected '
                    f'finite float32 of {len(prompts)} names'
                )

    def save(self, folder: Path) -> None:
        """Write them to a folder."""
        for name, embeds in self.texts.items():
            np.save(folder / f'{name}.npy', embeds)
        content = asdict(replace(self, texts={}))
        del content['texts']
        text = json.dumps(content, indent=2)
        (folder / _WORDS_FILE).write_text(f'{text}\n', 'utf-8')

    @classmethod
    def load(cls, folder: Path, text_inputs: Sequence[str] = ()) -> 'Words':
        """Read them.

        Args:
            folder: Where they are.
            text_inputs: Embeddings that the network needs.

        Raises:
            FileNotFoundError: If there are no words or embeddings.
            ValueError: If a file is damaged.
        """
        content = _read(folder / _WORDS_FILE, cls, {'texts'})
        texts = {}
        for name in text_inputs:
            path = folder / f'{name}.npy'
            if not path.is_file():
                raise FileNotFoundError(
                    f'no {path}: these words were written for a network '
                    'that knows its words; write them with `freeseg-mm '
                    'export --text-input --words-only`'
                )
            texts[name] = _read_array(path)
        with _naming(folder / _WORDS_FILE):
            return cls(**content, texts=texts)


def _read(
    path: Path, kind: type[Any], extra: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    """Fields of a dataclass from JSON; lists become tuples."""
    if not path.is_file():
        raise FileNotFoundError(
            f'no {path}; give a folder that `freeseg-mm export` wrote'
        )
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not JSON: {error}') from error
    expected = set(kind.__dataclass_fields__) - extra
    if not isinstance(content, dict) or set(content) != expected:
        raise ValueError(
            f'{path}: expected an object with {sorted(expected)}; was it '
            'written by this version of freeseg_mm?'
        )
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in content.items()
    }


def _read_array(path: Path) -> np.ndarray:
    try:
        # else a damaged header may ask for all memory
        array = np.load(path, mmap_mode='r', allow_pickle=False)
        return np.array(array, array.dtype)
    except Exception as error:  # NumPy says it by any
        raise ValueError(
            f'{path}: no array that can be read, or damaged ({error})'
        ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f'{path}: {error}; was it written by this version of freeseg_mm?'
        ) from error


def _are_among(values: Any, known: Sequence[str]) -> bool:
    is_list = isinstance(values, tuple)
    return is_list and len(set(map(str, values)) & set(known)) == len(values)


def _are_numbers(values: Any, count: int) -> bool:
    is_list = isinstance(values, tuple) and len(values) == count
    return is_list and all(map(is_number, values))


class Runtime:
    """An exported network that predicts images.

    Args:
        folder: As ``freeseg-mm export`` wrote it.
        words: Another folder of words, for a network that takes text
            embeddings.
        providers: Of onnxruntime, the preferred first; default the CPU.
        network: Runs the network in the place of onnxruntime.

    Attributes:
        spec: About the network.
        words: The classes.

    Raises:
        FileNotFoundError: If a file is missing.
        ImportError: If onnxruntime is not installed.
        ValueError: If a file is damaged, or other words are given to a
            network that knows its own.
    """

    def __init__(
        self,
        folder: str | Path,
        words: str | Path | None = None,
        *,
        providers: Sequence[str] = ('CPUExecutionProvider',),
        network: Network | None = None,
    ) -> None:
        self._folder = folder = Path(folder)
        self.spec = Spec.load(folder)
        if words is not None and not self.spec.text_inputs:
            raise ValueError(
                f'{folder}: its words are part of the network; export it '
                'with --text-input to change them'
            )
        self.words = Words.load(Path(words or folder), self.spec.text_inputs)
        self._network = network or onnx_network(folder / ONNX_FILE, providers)

    def __call__(
        self,
        image: np.ndarray,
        *,
        channel_order: str = 'bgr',
        max_side: int | None = 2048,
        **options: Any,
    ) -> dict[str, np.ndarray]:
        """Predict an image.

        Args:
            image: (H, W, 3), uint8.
            channel_order: Its, ``bgr`` or ``rgb``.
            max_side: Results of an image with a longer side are computed at
                this one and then enlarged.
            **options: ``score_thr``, ``object_score_thr``, ``overlap_thr``,
                ``min_object_prob``, ``max_per_image`` of this call.

        Returns:
            Of the tasks: ``label_map`` (H, W) int32, ``max(255, C)`` for
            none of the C classes; ``masks`` (n, H, W) bool, ``mask_labels``
            and ``mask_scores`` (n,), best first; ``segment_map`` (H, W)
            int32, 0 for none, with ``segment_ids``, ``segment_labels`` and
            ``segment_scores`` (m,).

        Raises:
            TypeError: If there is no such option.
            ValueError: If the image, the channel order or an option is
                unusable, or the network is damaged.
        """
        if (
            not isinstance(image, np.ndarray)
            or image.dtype != np.uint8
            or image.ndim != 3
            or image.shape[2] != 3
            or not image.size
        ):
            found = getattr(image, 'dtype', type(image).__name__)
            raise ValueError(
                'expected an image of (H, W, 3) uint8, got '
                f'{getattr(image, "shape", "")} {found}'
            )
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(
                f"channel_order: expected 'bgr' or 'rgb', got "
                f'{channel_order!r}'
            )
        if max_side is not None:
            require_whole('max_side', max_side, 1)
        chosen = {**self.spec.options, **_checked(options)}
        if (channel_order == 'rgb') != self.spec.to_rgb:
            image = image[..., ::-1]
        full = (image.shape[0], image.shape[1])
        shrink = max(1.0, max(full) / max_side) if max_side else 1.0
        size = tuple(max(1, round(side / shrink)) for side in full)
        inputs, content = self._inputs(image, chosen)
        outputs = self._network(inputs)
        with _naming(self._folder):
            _check_outputs(outputs, len(self.spec.tasks), self.words, chosen)
        probs = class_probs(outputs, self.words, self.spec.tasks, chosen)
        masks = outputs['mask_logits']
        padded = inputs['image'].shape[2:]
        rows, columns = (
            _enlarging(masks.shape[axis - 2], padded[axis], content[axis])
            for axis in (0, 1)
        )
        if size != content:
            rows = _weights(content[0], size[0]) @ rows
            columns = _weights(content[1], size[1]) @ columns
        is_thing = np.array(self.words.is_thing, bool)
        results: dict[str, np.ndarray] = {}
        for index, task in enumerate(self.spec.tasks):
            view = _View(masks[min(index, len(masks) - 1)], rows, columns)
            predict = _PREDICTED[task]
            results |= predict(probs[index], view, is_thing, chosen)
        if size == full:
            return results
        where = [
            np.arange(full[axis]) * size[axis] // full[axis] for axis in (0, 1)
        ]
        return {
            name: value[..., where[0][:, None], where[1]]
            if name in _MAPS
            else value
            for name, value in results.items()
        }

    def _inputs(
        self, image: np.ndarray, options: Mapping[str, Any]
    ) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
        """Inputs of the network, and the image's size among them, (H, W)."""
        spec = self.spec
        size = _network_size((image.shape[0], image.shape[1]), spec)
        if not all(size):
            raise ValueError(
                f'an image of {image.shape[1]} x {image.shape[0]} pixels is '
                'too long for the network'
            )
        pixels = _resized(image, size, spec.backend == _ANTIALIASED)
        mean, std = np.array([spec.mean, spec.std], np.float32)
        normal = (pixels - mean) / std
        height, width = (-(-x // spec.divisor) * spec.divisor for x in size)
        padded = np.zeros((1, 3, height, width), np.float32)
        padded[0, :, : size[0], : size[1]] = normal.transpose(2, 0, 1)
        inputs: dict[str, np.ndarray] = {
            'image': padded,
            'image_size': np.array(size, np.int64),
            'shown_over': _shown_over(spec.tasks, options),
            **self.words.texts,
        }
        return inputs, size


_SHARES = ('score_thr', 'object_score_thr', 'overlap_thr', 'min_object_prob')
_OF_A_CALL = (*_SHARES, 'max_per_image')
OPTIONS = (
    *_OF_A_CALL,
    'mode',
    'seen_weight',
    'unseen_weight',
    'clip_trust',
    'panoptic_rule',
    'overlap_pixels',
    'instance_ranking',
    'empty_masks',
)
"""Options that a network is exported with; the first five may change."""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    'mode': ('geometric', 'arithmetic', 'query', 'clip'),
    'panoptic_rule': ('score', 'no_object'),
    'overlap_pixels': ('inside', 'won'),
    'instance_ranking': ('things', 'all_classes'),
    'empty_masks': ('drop', 'query', 'ones'),
}
_MAPS = ('label_map', 'masks', 'segment_map')


def _checked(options: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = set(options) - set(_OF_A_CALL)
    if unknown:
        raise TypeError(
            f'unknown options {sorted(unknown)}; known are {_OF_A_CALL}'
        )
    _check_options(options)
    return options


def _check_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name == 'max_per_image':
            require_whole(name, value, 1)
        elif name in _CHOICES:
            if value not in _CHOICES[name]:
                raise ValueError(
                    f'{name}: expected one of {_CHOICES[name]}, got '
                    f'{shown(value)}'
                )
        else:
            require_share(name, value)


def _check_outputs(
    outputs: Mapping[str, np.ndarray],
    tasks: int,
    words: Words,
    options: Mapping[str, Any],
) -> None:
    """Refuse what a network gives if it is another, or damaged.

    Raises:
        ValueError: Naming it.
    """
    prompts = len(words.prompt_to_class)
    wanted = {'mask_logits': None, 'query_logits': prompts + 1}
    if options['mode'] != 'query':
        wanted |= {'clip_logits': prompts, 'is_shown': None}
    for name, columns in wanted.items():
        found = outputs.get(name)
        if (
            found is None
            or (columns is not None and found.shape[::2] != (tasks, columns))
            or (name != 'clip_logits' and not np.isfinite(found).all())
        ):
            raise ValueError(
                f'the network gives no {name} of {tasks} tasks and '
                f'{prompts} names, or NaN'
            )


def onnx_network(path: Path, providers: Sequence[str]) -> Network:
    """Load a network into onnxruntime; inputs it lacks are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnxruntime is not installed.
        ValueError: If the file is damaged; so does the network if its inputs
            are of another.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'no {path}; write it with `freeseg-mm export --format onnx`'
        )
    try:
        onnxruntime: Any = import_module('onnxruntime')
    except ImportError as error:
        raise ImportError(
            'exported networks need onnxruntime; run `pip install onnxruntime`'
        ) from error
    with _naming_network(path):
        session = onnxruntime.InferenceSession(
            str(path), providers=[*providers]
        )
    known = {entry.name for entry in session.get_inputs()}
    names = [entry.name for entry in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {k: v for k, v in inputs.items() if k in known}
        with _naming_network(path):
            return dict(zip(names, session.run(names, given), strict=True))

    return run


@contextmanager
def _naming_network(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # onnxruntime's own
        reason = str(error).strip().partition('\n')[0]
        raise ValueError(
            f'{path}: onnxruntime cannot run it ({reason}); is it damaged, '
            'or of another export than the files beside it?'
        ) from error


# --- sizes -------------------------------------------------------------------


def _network_size(size: tuple[int, int], spec: Spec) -> tuple[int, int]:
    """The size that an image is brought to, (H, W), as mmcv reckons it."""
    longest, shortest = max(spec.scale), min(spec.scale)
    if not spec.keep_ratio:
        return spec.scale[1], spec.scale[0]
    factor = min(longest / max(size), shortest / min(size))
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def _resized(
    image: np.ndarray, size: tuple[int, int], by_pillow: bool
) -> np.ndarray:
    """Resize bilinearly in whole numbers, as Pillow or OpenCV do, int64."""
    pixels = image.astype(np.int64)
    bits = 22 if by_pillow else 11
    for axis in (1, 0):
        index, weight = _taps(image.shape[axis], size[axis], by_pillow)
        parts = np.rint(weight * 2**bits).astype(np.int64)
        shape = (-1, 1) if axis else (-1, 1, 1)
        taps = [
            (pixels.take(index[:, tap], axis), parts[:, tap].reshape(shape))
            for tap in range(index.shape[1])
        ]
        if by_pillow:
            pixels = sum(values * part for values, part in taps) + 2**21 >> 22
        elif axis:
            pixels = sum(values * part for values, part in taps)
        else:  # in OpenCV's registers of 16 bits
            pixels = sum((values >> 4) * part >> 16 for values, part in taps)
            pixels = pixels + 2 >> 2
    return pixels


def _taps(
    old: int, new: int, antialias: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Places of a line that each place of a new one is the mean of.

    Args:
        old: Its length.
        new: The new one.
        antialias: Whether the mean widens where the line shrinks.

    Returns:
        Places and weights that sum to 1, (new, K).
    """
    step = old / new
    reach = max(step, 1.0) if antialias else 1.0
    centre = (np.arange(new) + 0.5) * step
    first = np.floor(centre - reach).astype(int)
    places = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
    if not antialias:  # at the ends, their values go on
        far = np.abs(places + 0.5 - centre[:, None])
        weight = np.maximum(0, 1 - far)
        return places.clip(0, old - 1), weight
    inside = (places >= 0) & (places < old)
    far = np.abs(places + 0.5 - centre[:, None]) / reach
    weight = np.maximum(0, 1 - far) * inside
    weight /= weight.sum(1, keepdims=True)
    return places.clip(0, old - 1), weight


def _weights(old: int, new: int) -> np.ndarray:
    """The same without antialiasing as a matrix, (new, old)."""
    index, weight = _taps(old, new)
    matrix = np.zeros((new, old), np.float32)
    np.add.at(matrix, (np.arange(new)[:, None], index), weight)
    return matrix


def _enlarging(cells: int, padded: int, content: int) -> np.ndarray:
    """Bring cells to the padded image, and leave out the padding."""
    return _weights(cells, padded)[:content]


class _View:
    """Masks of one task, seen at the size of the result band by band.

    Args:
        logits: (N, h, w).
        rows: Weights of mask rows, (H, h).
        columns: Of mask columns, (W, w).
    """

    def __init__(
        self, logits: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> None:
        self._logits, self._rows, self._columns = logits, rows, columns
        self.size = (len(rows), len(columns))

    def bands(self, chosen: np.ndarray, width: int = 1) -> Any:
        """Yield slices of rows and the chosen masks there, (n, rows, W).

        Args:
            chosen: Queries, (n,).
            width: Numbers that the caller makes of each pixel.
        """
        wide = self._logits[chosen].astype(np.float32) @ self._columns.T
        each = max(len(chosen), width, 1) * self.size[1]
        count = max(1, _BAND // each)
        for top in range(0, self.size[0], count):
            band = slice(top, min(top + count, self.size[0]))
            yield band, self._rows[band] @ wide


# --- scores ------------------------------------------------------------------


def _shown_over(
    tasks: Sequence[str], options: Mapping[str, Any]
) -> np.ndarray:
    """Object probability from which CLIP has to see a mask, (T,)."""
    least = np.array([_least(task, options) for task in tasks])
    trust = options['clip_trust']
    if trust < 1:
        least = (least - trust) / (1 - trust)
    return np.where(least < 0, -1, least).astype(np.float32)


def _least(task: str, options: Mapping[str, Any]) -> float:
    if task != 'panoptic':
        return float(options['min_object_prob'])
    half = 0.5 if options['panoptic_rule'] == 'no_object' else 0.0
    return max(options['min_object_prob'], options['object_score_thr'], half)


def class_probs(
    outputs: Mapping[str, np.ndarray],
    words: Words,
    tasks: Sequence[str],
    options: Mapping[str, Any],
) -> np.ndarray:
    """Class probabilities of masks, 0 of those without a part in a result.

    Args:
        outputs: Of the network: ``query_logits`` (T, N, P + 1) and, unless
            the mode is ``query``, ``clip_logits`` (T, N, P) and
            ``is_shown`` (T or 1, N).
        words: The C classes.
        tasks: The T tasks.
        options: Of the prediction.

    Returns:
        (T, N, C).
    """
    starts = np.unique(words.prompt_to_class, return_index=True)[1]
    query = outputs['query_logits'].astype(np.float64)
    nothing = query[..., -1:]
    query = np.maximum.reduceat(query[..., :-1], starts, axis=-1)
    both = _softmax(np.concatenate([query, nothing], -1))
    objectness = both[..., :-1].sum(-1, keepdims=True)
    trust = options['clip_trust']
    least = np.array([_least(task, options) for task in tasks])
    most = objectness + trust * (1 - objectness)
    relevant = most > least[:, None, None]
    mode = options['mode']
    shares = _softmax(query)
    if mode == 'query':
        return relevant * shares * objectness
    logits = outputs['clip_logits'].astype(np.float64)
    clip = _softmax(np.maximum.reduceat(logits, starts, axis=-1))
    shown = outputs['is_shown'][..., None] & relevant
    empty = options['empty_masks']
    if empty == 'drop':
        relevant = shown
    elif empty == 'query':
        clip = np.where(shown, clip, shares)
    else:
        clip = np.where(shown, clip, 1.0)
    if trust:
        doubt = 1 - trust * clip.max(-1, keepdims=True)
        objectness = 1 - (1 - objectness) * doubt
    seen = np.array(words.is_seen, bool)
    weight = np.where(seen, options['seen_weight'], options['unseen_weight'])
    if mode == 'clip':
        shares = clip
    elif mode == 'geometric':
        with np.errstate(divide='ignore'):
            logs = weight * np.log(shares) + (1 - weight) * np.log(clip)
        shares = _softmax(logs)
    else:
        mixed = weight * shares + (1 - weight) * clip
        shares = mixed / mixed.sum(-1, keepdims=True)
    return relevant * shares * objectness


def _softmax(logits: np.ndarray) -> np.ndarray:
    values = np.exp(logits - logits.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    with np.errstate(over='ignore'):
        return 1 / (1 + np.exp(-logits))


def _best_first(values: np.ndarray) -> np.ndarray:
    return np.argsort(-values, kind='stable')


# --- results -----------------------------------------------------------------


def _semantic(
    probs: np.ndarray,
    view: _View,
    is_thing: np.ndarray,
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    best = probs.max(-1)
    chosen = _best_first(best)[: (best > 0).sum()]
    void = max(255, probs.shape[1])
    labels = np.full(view.size, void, np.int32)
    by_class = probs[chosen].T.astype(np.float32)
    if len(chosen):
        for band, masks in view.bands(chosen, probs.shape[1]):
            flat = _sigmoid(masks).reshape(len(chosen), -1)
            scores = by_class @ flat
            label = np.where(scores.max(0) > 0, scores.argmax(0), void)
            labels[band] = label.reshape(masks.shape[1:])
    return {'label_map': labels}


def _instance(
    probs: np.ndarray,
    view: _View,
    is_thing: np.ndarray,
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    of_things = probs * is_thing
    ranked = of_things
    if options['instance_ranking'] == 'all_classes':
        ranked = probs
    best = ranked.max(-1)
    chosen = _best_first(best)[: (best > 0).sum()]
    area, certainty = np.zeros((2, len(chosen)))
    if len(chosen):
        for _, masks in view.bands(chosen):
            inside = masks > 0
            area += inside.sum((1, 2))
            certainty += (_sigmoid(masks) * inside).sum((1, 2))
    scores = of_things[chosen] * (certainty / np.maximum(area, 1))[:, None]
    if options['instance_ranking'] == 'all_classes':
        top = _best_first(probs[chosen].ravel())[: options['max_per_image']]
        kept = np.zeros(scores.size, bool)
        kept[top] = True
        scores = scores * kept.reshape(scores.shape)
    pairs = _best_first(scores.ravel())[: options['max_per_image']]
    score = scores.ravel()[pairs]
    is_kept = (score > 0) & (score >= options['score_thr'])
    pairs, score = pairs[is_kept], score[is_kept]
    queries, labels = np.divmod(pairs, probs.shape[1])
    found = np.zeros((len(pairs), *view.size), bool)
    if len(pairs):
        for band, masks in view.bands(chosen[queries]):
            found[:, band] = masks > 0
    return {
        'masks': found,
        'mask_labels': labels.astype(np.int64),
        'mask_scores': score.astype(np.float32),
    }


def _panoptic(
    probs: np.ndarray,
    view: _View,
    is_thing: np.ndarray,
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    best = probs.max(-1)
    kept = best > options['object_score_thr']
    if options['panoptic_rule'] == 'no_object':
        kept &= best > 1 - probs.sum(-1)
    chosen = _best_first(best * kept)[: kept.sum()]
    scores, labels = best[chosen], probs[chosen].argmax(-1)
    winner = np.zeros(view.size, int)
    is_won = np.zeros(view.size, bool)
    area = np.zeros(len(chosen))
    if len(chosen):
        weight = scores.astype(np.float32)[:, None, None]
        for band, masks in view.bands(chosen):
            inside = masks > 0
            area += inside.sum((1, 2))
            won = (_sigmoid(masks) * weight).argmax(0)
            winner[band] = won
            is_won[band] = np.take_along_axis(inside, won[None], 0)[0]
    won_area = np.bincount(winner[is_won], minlength=len(chosen))
    counted = won_area
    if options['overlap_pixels'] == 'won':
        counted = np.bincount(winner.ravel(), minlength=len(chosen))
    ids = np.zeros(max(1, len(chosen)), np.int32)
    begins: list[int] = []
    stuff: dict[int, int] = {}
    for query in range(len(chosen)):
        label = int(labels[query])
        if (
            not won_area[query]
            or counted[query] < options['overlap_thr'] * area[query]
        ):
            continue
        if label in stuff:
            ids[query] = stuff[label]
            continue
        begins.append(query)
        ids[query] = len(begins)
        if not is_thing[label]:
            stuff[label] = len(begins)
    return {
        'segment_map': np.where(is_won, ids[winner], 0).astype(np.int32),
        'segment_ids': np.arange(1, len(begins) + 1),
        'segment_labels': labels[begins].astype(np.int64),
        'segment_scores': scores[begins].astype(np.float32),
    }


_PREDICTED = {
    'semantic': _semantic,
    'instance': _instance,
    'panoptic': _panoptic,
}
