"""`python -m mcpc.testing` without the second it takes to import: one process imports it, and forks for each peer.

A test spawns `relay`, as any `stdio:` server is spawned. It hands its stdin, stdout
and stderr to the warm process, whose fork becomes the peer, and ends when that ends.
"""

import json
import os
import signal
import socket
import sys
from importlib import import_module


def serve(path: str) -> None:
    """Wait warm at a socket, until terminated."""
    from mcpc.testing.__main__ import main  # here, as the relay must start fast
    from mcpc.uri import resolve

    import_module("trio")
    resolve("stdio")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    arguments, descriptors, _, _ = socket.recv_fds(connection, 65536, 3)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["mcpc.testing", *json.loads(arguments)]
    main()
    os._exit(0)  # to tear down a forked interpreter takes longer than the test


def relay(path: str, arguments: list[str]) -> None:
    """Become the front of a peer: its descriptors are ours, and we end with it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(arguments).encode()], [0, 1, 2])
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        connection.recv(1)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        relay(sys.argv[2], sys.argv[3:])
