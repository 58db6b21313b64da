import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from freeseg_mm.cli import main


@pytest.fixture
def no_network_loaded(monkeypatch):
    """Fail where weights would be loaded."""

    def loaded(args):
        raise AssertionError('weights were loaded')

    monkeypatch.setattr('freeseg_mm.cli.webdemo.command.inferencer_of', loaded)


@pytest.fixture
def served(monkeypatch):
    """Stand in for the server: notes where it would listen."""
    uvicorn = pytest.importorskip('uvicorn')
    pytest.importorskip('gradio')
    addresses = []

    def run(self, sockets):
        addresses.extend(each.getsockname()[0] for each in sockets)
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, 'run', run)
    return addresses


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['webdemo', '--help'])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert 'freeseg-mm webdemo --config configs/freeseg/coco.py' in text
    assert 'Exit status' in text


def test_this_machine_alone_unless_told_otherwise(
    served, tiny_weights, capsys
):
    arguments = ['webdemo', '--port', '0', '--device', 'cpu']
    arguments += ['--checkpoint', str(tiny_weights[1])]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert served == ['127.0.0.1']
    assert re.fullmatch(
        r'the page is at http://127\.0\.0\.1:\d+ \(Ctrl\+C stops it\)\n',
        captured.out,
    )
    assert captured.err.endswith('stopped\n')
    assert 'password' not in captured.err

    assert main([*arguments, '--host', '0.0.0.0']) == 0
    captured = capsys.readouterr()
    assert served == ['127.0.0.1', '0.0.0.0']
    assert 'http://127.0.0.1:' in captured.out
    assert '--host 0.0.0.0 lets in everyone' in captured.err


@pytest.mark.parametrize('name', ['gradio', 'uvicorn'])
def test_without_gradio_it_says_what_to_install(
    no_network_loaded, monkeypatch, capsys, name
):
    # None is how Python itself marks a module as not to be found.
    monkeypatch.setitem(sys.modules, name, None)
    assert main(['webdemo']) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'freeseg-mm: webdemo needs {name}; run ')
    assert '`pip install -r requirements/webdemo.txt`' in line


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--max-side', '0'], 'max_side: expected at least 1, got 0'),
        (['--max-upload-mb', '-1'], 'max_upload_mb: expected a finite'),
        (['--port', '70000'], '--port: expected 0 to 65535, got 70000'),
        (['--host', '192.0.2.1'], 'cannot listen on 192.0.2.1, port 7860'),
    ],
)
def test_mistakes_are_one_sentence_before_weights(
    no_network_loaded, capsys, arguments, message
):
    pytest.importorskip('gradio')
    assert main(['webdemo', *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('freeseg-mm webdemo: ')
    assert message in line


def test_a_taken_port_is_one_sentence(no_network_loaded, capsys):
    pytest.importorskip('gradio')
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = str(other.getsockname()[1])
        assert main(['webdemo', '--port', port]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f'cannot listen on 127.0.0.1, port {port} (' in line
    assert 'choose others with --host and --port' in line


def test_no_model_is_one_sentence(capsys):
    pytest.importorskip('gradio')
    arguments = ['webdemo', '--port', '0', '--config', 'no/such.py']
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "freeseg-mm webdemo: no config file 'no/such.py'"


def test_wrong_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['webdemo', '--port', 'http'])
    assert stop.value.code == 2
    assert 'usage: freeseg-mm webdemo' in capsys.readouterr().err


@pytest.mark.slow
def test_serves_until_it_is_interrupted(tiny_weights):
    pytest.importorskip('gradio')
    code = (
        'import signal, sys; from freeseg_mm.cli import main; '
        # a shell in the background has its children ignore it
        'signal.signal(signal.SIGINT, signal.default_int_handler); '
        'sys.exit(main())'
    )
    process = subprocess.Popen(
        [
            *(sys.executable, '-c', code, 'webdemo', '--port', '0'),
            *('--checkpoint', tiny_weights[1], '--device', 'cpu'),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline()
        (url,) = re.findall(r'http://127\.0\.0\.1:\d+', said)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=300) as reply:
            assert b'FreeSeg' in reply.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert errors.endswith('stopped\n')
    assert 'Traceback' not in errors
