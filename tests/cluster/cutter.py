# SPDX-License-Identifier: Apache-2.0
"""A proxy on an engine's socket, which cuts connections as idle time-outs of real ones
do. For the tests of docker's clients; the methods can be called from any thread."""

import contextlib
import os
import socket
import threading


class Cutter:
    """Listens at PATH for clients of the engine at TARGET, until the end of `with`."""

    def __init__(self, path, target):
        self.path, self.target = path, target
        self.pairs = []  # of the open connections: (client, engine)
        self.lock = threading.Lock()
        self.answer = None  # bytes for each request of an upgrade, in place of the engine
        self.listener = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener.bind(path)
        self.listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut("both")

    def cut(self, how, choose=lambda pairs: pairs):
        """Ends connections that are open, those that choose() takes of them: `both` ways,
        only to the `client`, or only to the `engine`. Returns how many that were."""
        with self.lock:
            pairs = choose(list(self.pairs))
        for client, engine, _ in pairs:
            if how in ("both", "client"):
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_WR if how == "client" else socket.SHUT_RDWR)
            if how in ("both", "engine"):
                with contextlib.suppress(OSError):
                    engine.shutdown(socket.SHUT_WR if how == "engine" else socket.SHUT_RDWR)
        return len(pairs)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            try:
                engine.connect(self.target)
            except OSError:
                client.close()
                continue
            pair = (client, engine, {"upgraded": False})  # it carries a command's streams, if so
            with self.lock:
                self.pairs.append(pair)
            threading.Thread(target=self._serve, args=(pair,), daemon=True).start()

    def _serve(self, pair):
        client, engine, _ = pair
        back = threading.Thread(target=self._copy, args=(engine, client, None), daemon=True)
        back.start()
        self._copy(client, engine, pair)
        back.join()
        with self.lock:
            self.pairs.remove(pair)
        client.close()
        engine.close()

    def _copy(self, source, sink, pair):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if pair and b"Upgrade: tcp" in data:
                    pair[2]["upgraded"] = True
                    if self.answer:
                        source.sendall(self.answer)
                        break
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
