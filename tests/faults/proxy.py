"""A TCP proxy that can go silent: a network that is cut, for whoever connects through it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

PIECE = 1 << 16


class Proxy:
    """Forwards bytes between ``port`` (of 127.0.0.1) and ``target``, untouched, in a thread of its own.

    While ``cut()`` nothing passes and nothing is closed, as if packets were lost: a new connection is accepted and
    stays dumb, and what was on its way arrives after ``heal()``. That is how a zombie's words come late.
    """

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def cut(self) -> None:
        """Let nothing through any more."""
        self._cut.set()

    def heal(self) -> None:
        """Let everything through again."""
        self._cut.clear()

    def _run(self) -> None:
        with selectors.DefaultSelector() as self._selector, self._listener:
            self._selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                if self._cut.is_set():
                    # Nothing is read, so the senders' windows fill and they wait.
                    self._ended.wait(0.02)
                    continue
                for key, _ in self._selector.select(timeout=0.05):
                    if self._cut.is_set():
                        break
                    if key.fileobj is self._listener:
                        self._connect()
                    elif isinstance(key.fileobj, socket.socket):
                        self._pass_on(key.fileobj)
            for one in [*self._pairs]:
                one.close()

    def _connect(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        other = self._pairs.get(one)
        if other is None:
            return
        try:
            piece = one.recv(PIECE)
            if piece:
                other.sendall(piece)
                return
        except OSError:
            pass
        for end in (one, other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            self._pairs.pop(end, None)
            end.close()
