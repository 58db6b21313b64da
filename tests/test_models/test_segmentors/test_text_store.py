import errno
import multiprocessing
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from freeseg_mm.models import FixedPrompt
from freeseg_mm.models.segmentors import text_cache as module
from freeseg_mm.models.segmentors.text_cache import (
    TextCache,
    TextKey,
    TextStore,
)
from freeseg_mm.structures import Task, Vocabulary

KEY = TextKey(
    clip='c1', learner='l1', task='semantic', prompts=('cat', 'Zürich')
)


@pytest.fixture
def said(monkeypatch):
    """The warnings given."""
    texts = []
    monkeypatch.setattr(
        module,
        'print_log',
        lambda text, logger, level: texts.append((text, level)),
    )
    return texts


@pytest.fixture
def embeds():
    return torch.randn(2, 16)


@pytest.fixture
def store(tmp_path):
    return TextStore(str(tmp_path / 'a' / 'text'))


@pytest.fixture
def entry(store, embeds):
    """The file of one entry."""
    store.save(KEY, embeds)
    (path,) = store.folder.iterdir()
    return path


def content(path):
    with safe_open(path, 'pt') as file:
        return file.get_tensor('embeds').clone(), file.metadata()


def test_gives_back_what_was_stored(store, entry, embeds, said):
    for reader in (store, TextStore(str(store.folder))):
        assert torch.equal(reader.load(KEY, 16), embeds)
    assert content(entry)[1]['prompts'] == '["cat", "Z\\u00fcrich"]'
    assert entry.name == f'{KEY.digest}.safetensors'
    assert said == []


@pytest.mark.parametrize(
    'change',
    [
        {'clip': 'c2'},
        {'learner': 'l2'},
        {'task': ''},
        {'prompts': ('Zürich', 'cat')},
        {'prompts': ('cat', 'Zürich', 'dog')},
        {'version': '0.0.1'},
    ],
    ids=str,
)
def test_other_keys_have_other_files(change, store, entry, said):
    assert store.load(replace(KEY, **change), 16) is None
    assert said == []


def truncated(path, _):
    path.write_bytes(path.read_bytes()[:-1])


def cut_in_header(path, _):
    path.write_bytes(path.read_bytes()[:40])


def flipped(path, _):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def empty(path, _):
    path.write_bytes(b'')


def text(path, _):
    path.write_text('no safetensors')


def rewritten(name='embeds', **notes):
    def rewrite(path, embeds):
        _, old = content(path)
        save_file({name: embeds}, path, {**old, **notes})

    return rewrite


def with_tensor(change):
    """Valid in all but what the change does to the tensor."""

    def rewrite(path, embeds):
        changed = change(embeds).contiguous()
        rewritten(checksum=module._checksum(changed))(path, changed)

    return rewrite


def without_notes(path, embeds):
    save_file({'embeds': embeds}, path)


def two_tensors(path, embeds):
    _, notes = content(path)
    save_file({'embeds': embeds, 'more': embeds.clone()}, path, notes)


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (truncated, ''),
        (cut_in_header, ''),
        (flipped, 'their checksum differs'),
        (empty, ''),
        (text, ''),
        (without_notes, 'made from something else'),
        (rewritten(prompts='["cat", "dog"]'), 'made from something else'),
        (rewritten(clip='c2'), 'made from something else'),
        (rewritten(checksum='0'), 'their checksum differs'),
        (rewritten(name='other'), r"expected 'embeds', got \['other'\]"),
        (two_tensors, r"expected 'embeds', got \['embeds', 'more'\]"),
        (
            with_tensor(torch.Tensor.half),
            r'expected float32 of shape \(2, 16\), got torch.float16',
        ),
        (with_tensor(lambda x: x[:1]), r'got torch.float32 of \(1, 16\)'),
        (with_tensor(lambda x: x[:, :8]), r'got torch.float32 of \(2, 8\)'),
        (with_tensor(lambda x: x / 0), 'they are not finite'),
    ],
)
def test_damaged_entries_are_never_used(
    damage, reason, store, entry, embeds, said
):
    damage(entry, embeds)

    assert store.load(KEY, 16) is None

    ((warning, level),) = said
    assert level == 30  # WARNING
    assert re.match(
        rf'text embeddings in {re.escape(str(entry))} are of no use '
        rf'\(.*{reason}.*they are computed and written again$',
        warning,
    )
    store.save(KEY, embeds)
    assert torch.equal(store.load(KEY, 16), embeds)
    assert len(said) == 1


def test_no_flipped_bit_gets_through(store, entry, embeds, said):
    whole = entry.read_bytes()
    refused = 0
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        entry.write_bytes(data)
        found = store.load(KEY, 16)
        refused += found is None
        assert found is None or torch.equal(found, embeds)

    # all but a few bits of the header, which make no difference
    assert refused == len(said)
    assert len(whole) - refused < 0.1 * len(whole)


def test_what_is_not_finite_is_not_kept(store, embeds, said):
    embeds[0, 0] = torch.nan
    store.save(KEY, embeds)

    assert not store.folder.exists()
    assert said == []


@pytest.mark.parametrize('place', ['cache', 'cache/deeper/text'])
def test_path_that_is_no_folder(place, tmp_path):
    file = tmp_path / 'cache'
    file.write_text('something of the user')
    folder = str(tmp_path / place)

    with pytest.raises(
        ValueError,
        match=re.escape(
            f'text_cache_dir {folder!r}: {file} is no folder; give a folder'
        ),
    ):
        TextStore(folder)


def test_path_that_is_no_string():
    with pytest.raises(
        TypeError, match='text_cache_dir: expected the path .* got 3'
    ):
        TextStore(3)


def test_folder_of_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))

    assert TextStore('~/text').folder == tmp_path / 'text'


def test_a_failed_write_is_one_warning(store, embeds, said, monkeypatch):
    def run_full(path, data):
        with open(path, 'wb') as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', run_full)

    store.save(KEY, embeds)
    store.save(replace(KEY, task=''), embeds)

    ((warning, _),) = said
    assert re.match(
        rf'text embeddings cannot be written to {store.folder}/{KEY.digest}'
        r'.safetensors \(.*No space left on device\); this process keeps '
        'them in memory only',
        warning,
    )
    assert list(store.folder.iterdir()) == []


def test_folder_that_cannot_be_made(embeds, said):
    # even root may make nothing there
    store = TextStore('/proc/freeseg/text')

    store.save(KEY, embeds)

    ((warning, _),) = said
    assert 'cannot be written to /proc/freeseg/text/' in warning


def _write_often(folder, rows):
    store = TextStore(folder)
    for _ in range(100):
        store.save(KEY, torch.tensor(rows))
    assert store._can_write  # no write has failed


def test_processes_may_write_at_once(store, entry, embeds, said):
    context = multiprocessing.get_context('fork')
    writers = [
        context.Process(
            target=_write_often, args=(str(store.folder), embeds.tolist())
        )
        for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        assert torch.equal(store.load(KEY, 16), embeds)
        reads += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0

    assert reads > 0
    assert said == []
    assert list(store.folder.iterdir()) == [entry]


# ---- behind the cache -------------------------------------------------------

PETS = Vocabulary.from_names(['cat', 'dog'])


@pytest.fixture
def encode(tiny_clip, tmp_path, monkeypatch):
    """Encode through a new cache on the same folder; also what it cost."""
    calls = []
    tower_encode = tiny_clip.text.encode

    def counted(*arguments):
        calls.append(1)
        return tower_encode(*arguments)

    monkeypatch.setattr(tiny_clip.text, 'encode', counted)

    def run(learner=None, clip=tiny_clip, tasks=tuple(Task), **arguments):
        cache = TextCache(str(tmp_path / 'text'))
        learner = learner or FixedPrompt(**arguments).eval()
        calls.clear()
        embeds = cache.encode(learner, clip, PETS, tasks)
        return embeds, len(calls)

    return run


def test_second_process_encodes_nothing(encode, tmp_path):
    first, cost = encode()
    assert cost == 3
    again, cost = encode()
    assert cost == 0
    assert torch.equal(first, again)
    assert encode(task_template=None)[1] == 1
    assert encode(task_template=None)[1] == 0
    assert len(list((tmp_path / 'text').iterdir())) == 3 + 1


def test_second_process_does_not_even_read_the_names(
    encode, tiny_clip, monkeypatch
):
    encode()
    monkeypatch.setattr(tiny_clip.text, 'token_ids', lambda _: 1 / 0)

    assert encode()[1] == 0


def test_damage_is_encoded_again(encode, tmp_path, said):
    first, _ = encode(tasks=[Task.SEMANTIC])
    (path,) = (tmp_path / 'text').iterdir()
    path.write_bytes(path.read_bytes()[:-8])

    again, cost = encode(tasks=[Task.SEMANTIC])

    assert cost == 1
    assert torch.equal(first, again)
    assert len(said) == 1
    assert encode(tasks=[Task.SEMANTIC])[1] == 0


def test_nothing_is_kept_of_what_is_in_training(encode, tmp_path):
    encode(FixedPrompt().train())

    assert not (tmp_path / 'text').exists()


def test_a_failed_write_does_not_stop_the_cache(encode, said, monkeypatch):
    def fail(*_):
        raise PermissionError('not yours')

    monkeypatch.setattr(module.os, 'replace', fail)

    embeds, cost = encode()

    assert cost == 3
    assert embeds.isfinite().all()
    assert len(said) == 1


def test_a_new_model_reads_what_another_wrote(
    build_tiny_model, tiny_model_config, make_sample, tmp_path, monkeypatch
):
    tiny_model_config.text_cache_dir = str(tmp_path / 'text')
    images = torch.randn(1, 3, 64, 64)
    results = []
    for calls in ([], []):
        model = build_tiny_model(tiny_model_config).eval()
        encode = model.clip.text.encode
        monkeypatch.setattr(
            model.clip.text,
            'encode',
            lambda *args, encode=encode, calls=calls: (
                calls.append(1) or encode(*args)
            ),
        )
        logits, _ = model._forward(images, [make_sample()])
        results.append((logits, len(calls)))

    assert results[0][1] > 0
    assert results[1][1] == 0
    assert torch.equal(results[0][0], results[1][0])
