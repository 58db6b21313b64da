import socket

import pytest

from freeseg_mm.cli.webdemo.server import address_of, is_local, listen


def test_a_free_port_is_found_and_named():
    with listen('127.0.0.1', 0) as listening:
        host, port = listening.getsockname()
        assert host == '127.0.0.1'
        assert address_of(listening) == f'http://127.0.0.1:{port}'
        with socket.create_connection((host, port), timeout=60):
            pass


def test_all_addresses_are_named_by_one_that_can_be_opened():
    with listen('0.0.0.0', 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f'http://127.0.0.1:{port}'


def test_a_taken_port_is_an_error_that_says_so():
    with listen('127.0.0.1', 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            OSError, match=f'cannot listen on 127.0.0.1, port {port} .*--port'
        ):
            listen('127.0.0.1', port)


@pytest.mark.parametrize('port', [-1, 2**16])
def test_no_such_port(port):
    with pytest.raises(ValueError, match=f'expected 0 to 65535, got {port}'):
        listen('127.0.0.1', port)


def test_an_address_of_another_machine():
    with pytest.raises(OSError, match='cannot listen on 192.0.2.1'):
        listen('192.0.2.1', 0)


@pytest.mark.parametrize(
    ('host', 'expected'),
    [
        ('127.0.0.1', True),
        ('localhost', True),
        ('::1', True),
        ('0.0.0.0', False),
        ('192.0.2.1', False),
    ],
)
def test_local_hosts(host, expected):
    assert is_local(host) is expected
