# SPDX-License-Identifier: Apache-2.0
"""The client's end of SPDY/3.1, as far as Kubernetes uses it for exec: four streams that the
client opens, and no flow control (neither kubectl nor containerd has any)."""

import asyncio
import struct
import zlib

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
CONTROL = 0x8003_0000  # version 3
MOST = 64 * 1024       # of one data frame

# The dictionary of the SPDY/3 specification: words with their lengths (here _ is a
# blank), then text.
WORDS = """options head post put delete trace accept accept-charset accept-encoding
    accept-language accept-ranges age allow authorization cache-control connection
    content-base content-encoding content-language content-length content-location
    content-md5 content-range content-type date etag expect expires from host if-match
    if-modified-since if-none-match if-range if-unmodified-since last-modified location
    max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after
    server te trailer transfer-encoding upgrade user-agent vary via warning
    www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie
    keep-alive origin"""
TEXT = (b"100101201202205206300302303304305306307402405406407408409410411412413414415416417"
        b"502504505203 Non-Authoritative Information204 No Content301 Moved Permanently"
        b"400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
        b"501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct"
        b" Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,"
        b"image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        b"text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
        b"charset=iso-8859-1,utf-,*,enq=0.")


def with_length(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


DICTIONARY = b"".join(with_length(word.replace("_", " ").encode())
                      for word in WORDS.split()) + TEXT


class Refused(Exception):
    """The other side does not speak SPDY; the exception has its whole HTTP answer."""


class Spdy:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.deflate = zlib.compressobj(zdict=DICTIONARY)
        self.next_stream = 1

    async def upgrade(self, method_and_target: str, host: str) -> None:
        self.writer.write(f"{method_and_target} HTTP/1.1\r\nHost: {host}\r\n"
                          "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                          "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
                          "Content-Length: 0\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Refused(head + await self.reader.read())

    def open(self, kind: str) -> int:
        """Opens a stream with the header streamtype: KIND. Returns its number."""
        number, self.next_stream = self.next_stream, self.next_stream + 2
        block = struct.pack(">I", 1) + with_length(b"streamtype") + with_length(kind.encode())
        packed = self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self._control(SYN_STREAM, struct.pack(">IIH", number, 0, 0) + packed)
        return number

    async def send(self, stream: int, data: bytes, is_last: bool = False) -> None:
        pieces = [data[at:at + MOST] for at in range(0, len(data), MOST)] or [b""]
        for index, piece in enumerate(pieces):
            flags = FIN if is_last and index == len(pieces) - 1 else 0
            self.writer.write(struct.pack(">II", stream, flags << 24 | len(piece)) + piece)
            await self.writer.drain()

    async def next(self) -> tuple[str, int, bytes]:
        """Returns the next event: `open`, `data` or `end` with a stream's number, or `closed`."""
        while True:
            try:
                first, second = struct.unpack(">II", await self.reader.readexactly(8))
                body = await self.reader.readexactly(second & 0xFF_FFFF)
            except (asyncio.IncompleteReadError, ConnectionError):
                return "closed", 0, b""
            is_last = second >> 24 & FIN
            if first < 1 << 31:
                if is_last:
                    return "end", first, body
                if body:
                    return "data", first, body
                continue
            kind = first & 0xFFFF
            if kind == GOAWAY:
                return "closed", 0, b""
            if kind == PING:
                self._control(PING, body)
            elif kind in (SYN_REPLY, RST_STREAM):
                stream = struct.unpack(">I", body[:4])[0]
                return "open" if kind == SYN_REPLY else "end", stream, b""

    def _control(self, kind: int, body: bytes) -> None:
        self.writer.write(struct.pack(">II", CONTROL | kind, len(body)) + body)
