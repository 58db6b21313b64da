"""Where the page is to be found."""

import socket

LOOPBACK = '127.0.0.1'


def listen(host: str, port: int) -> socket.socket:
    """Take an address, before anything slow is done.

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
    """URL of the page on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ('0.0.0.0', '::'):
        host = LOOPBACK
    return (
        f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'
    )


def is_local(host: str) -> bool:
    """Whether nobody but this machine can reach a host by this name."""
    return host in ('localhost', '::1') or host.startswith('127.')
