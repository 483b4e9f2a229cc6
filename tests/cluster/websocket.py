# SPDX-License-Identifier: Apache-2.0
"""Translates the protocol v5.channel.k8s.io on a WebSocket (RFC 6455) into SPDY/3.1, for a
runtime that has no other protocol, as an API server does since Kubernetes 1.30."""

import asyncio
import base64
import hashlib
import json
import socket
import struct

import spdy

PROTOCOL = "v5.channel.k8s.io"
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL = struct.pack(">H", 1000)
STDIN, STDOUT, STDERR, ERROR, HALF_CLOSE = 0, 1, 2, 3, 255
CHUNK = 256 * 1024


class Closed(Exception):
    """The client has closed the connection, or broken the protocol."""


class WebSocket:
    """The server's end. Messages of a client are masked, messages of a server are not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes, opcode: int = BINARY) -> None:
        if len(data) < 126:
            head = struct.pack(">BB", 0x80 | opcode, len(data))
        elif len(data) < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 126, len(data))
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, len(data))
        self.writer.write(head + data)
        await self.writer.drain()

    async def receive(self) -> bytes:
        """Returns the next message, and answers pings meanwhile."""
        message = b""
        while True:
            is_last, opcode, data = await self._frame()
            if opcode == PING:
                await self.send(data, PONG)
            elif opcode == CLOSE:
                raise Closed
            elif opcode in (BINARY, TEXT, CONTINUATION):
                message += data
                if is_last:
                    return message

    async def _frame(self) -> tuple[bool, int, bytes]:
        try:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size, = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                size, = struct.unpack(">Q", await self.reader.readexactly(8))
            if not second & 0x80:
                raise Closed
            mask = await self.reader.readexactly(4)
            data = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Closed from error
        return bool(first & 0x80), first & 0x0F, unmask(data, mask)


def unmask(data: bytes, mask: bytes) -> bytes:
    key = (mask * (len(data) // 4 + 1))[:len(data)]
    whole = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return whole.to_bytes(len(data), "big")


def accept(key: str) -> str:
    digest = hashlib.sha1((key + MAGIC).encode()).digest()
    return base64.b64encode(digest).decode()


class Translator:
    """One exec: a client's WebSocket, and the SPDY connection to the runtime."""

    def __init__(self, client: WebSocket, runtime: spdy.Spdy, kinds: dict[str, int]) -> None:
        self.client = client
        self.runtime = runtime
        self.stream_of = {channel: runtime.open(kind) for kind, channel in kinds.items()}
        self.channel_of = {stream: channel for channel, stream in self.stream_of.items()}

    async def run(self) -> None:
        """Copies until one side has ended."""
        waiting = set(self.channel_of)
        while waiting:
            event, stream, _ = await self.runtime.next()
            if event == "closed":
                return
            waiting.discard(stream)
        copies = [asyncio.create_task(self.copy_in()), asyncio.create_task(self.copy_out())]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    async def copy_in(self) -> None:
        try:
            while message := await self.client.receive():
                if message[0] == HALF_CLOSE and STDIN in message[1:2]:
                    await self.runtime.send(self.stream_of[STDIN], b"", is_last=True)
                elif message[0] == STDIN:
                    await self.runtime.send(self.stream_of[STDIN], message[1:])
        except Closed:
            pass

    async def copy_out(self) -> None:
        """The status is the runtime's last message, and is one JSON object."""
        status = b""
        while True:
            event, stream, data = await self.runtime.next()
            if event == "closed":
                return
            channel = self.channel_of.get(stream)
            if channel != ERROR:
                if data and channel is not None:
                    await self.client.send(bytes([channel]) + data)
                continue
            status += data
            if is_json(status):
                await self.client.send(bytes([ERROR]) + status)
                await self.client.send(NORMAL, CLOSE)
                return


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_wanted(header) -> bool:
    """Does a request ask for the protocol? HEADER(name) returns its headers."""
    offered = header("sec-websocket-protocol").replace(",", " ").split()
    return header("upgrade").lower() == "websocket" and PROTOCOL in offered


def key_of(head: bytes) -> str:
    """Returns the key of the client's handshake, whose head is well-formed."""
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            return value.strip()
    return ""


async def serve(connection: socket.socket, wanted: dict[str, bool], url) -> None:
    """Serves one exec on CONNECTION, which has the client's unchanged request. The runtime is
    at URL, and WANTED says which streams there are."""
    reader, writer = await asyncio.open_connection(sock=connection, limit=CHUNK)
    up_reader, up_writer = await asyncio.open_connection(url.hostname, url.port, limit=CHUNK)
    try:
        key = key_of(await reader.readuntil(b"\r\n\r\n"))
        runtime = spdy.Spdy(up_reader, up_writer)
        await runtime.upgrade(f"POST {url.path}", url.netloc)
        writer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     f"Sec-WebSocket-Accept: {accept(key)}\r\n"
                     f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode())
        kinds = {"error": ERROR}
        kinds |= {kind: channel for kind, channel in
                  (("stdin", STDIN), ("stdout", STDOUT), ("stderr", STDERR)) if wanted[kind]}
        await Translator(WebSocket(reader, writer), runtime, kinds).run()
    except spdy.Refused as answer:
        writer.write(answer.args[0])
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
        up_writer.close()
