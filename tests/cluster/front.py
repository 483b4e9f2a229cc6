#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plays the API server in `kubectl exec`: TLS, a token, and byte copying.

Pods and containers are those of DIR/pods.json.  An exec request becomes a
CRI Exec call; its answer is the address of containerd's streaming server,
and from there on bytes are only copied, so that the protocol kubectl speaks
is Kubernetes' own; with --websocket, one that containerd does not have is
translated on the way (`websocket.py`).  The faults that `fault` asks for over
DIR/control.sock are played here.
"""

import asyncio
import json
import socket
import ssl
import struct
import sys
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import cri
import grpc
import websocket

DIR = cri.DIR
TRANSLATES = "--websocket" in sys.argv[2:]
CHUNK = 256 * 1024
STREAM_CLOSE_SECONDS = 0.1
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden",
           404: "NotFound", 429: "TooManyRequests", 500: "InternalError",
           503: "ServiceUnavailable", 504: "Timeout"}
STEPS = ("pod", "exec")
CUTS = ("close", "fin", "rst")
GO_TRUE = ("1", "t", "T", "true", "TRUE", "True")
DISCOVERY = {
    "/version": {"major": "1", "minor": "26", "gitVersion": "v1.26.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList", "groupVersion": "v1", "resources": [
            {"name": "pods", "singularName": "pod", "namespaced": True,
             "kind": "Pod", "verbs": ["get"], "shortNames": ["po"]},
            {"name": "pods/exec", "singularName": "", "namespaced": True,
             "kind": "PodExecOptions", "verbs": ["create", "get"]}]},
}


class Refusal(Exception):
    """An answer other than success: a Status object of the Kubernetes API."""

    def __init__(self, code: int, message: str, name: str = "",
                 kind: str = "pods") -> None:
        self.code = code
        self.body = {"kind": "Status", "apiVersion": "v1", "metadata": {},
                     "status": "Failure", "message": message,
                     "reason": REASONS[code], "code": code}
        if name:
            self.body["details"] = {"name": name, "kind": kind}


class Hangup(Exception):
    """Asks for the connection to be broken in the given way."""

    def __init__(self, how: str) -> None:
        self.how = how


@dataclass
class Request:
    method: str
    target: str
    headers: list[str]

    def header(self, name: str) -> str:
        for line in self.headers:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return ""


@dataclass
class Fault:
    """The fault that is in force: see README.md for the modes."""
    mode: str = "none"
    step: str = ""
    limit: int = 0
    cut: str = "close"

    @classmethod
    def parse(cls, words: list[str]) -> "Fault":
        fault = cls(mode=words[0])
        for word in words[1:]:
            if word in STEPS or word == "connect":
                fault.step = word
            elif word in CUTS:
                fault.cut = word
            elif word.isdigit():
                fault.limit = int(word)
            else:
                raise ValueError(f"unknown word {word}")
        if fault.mode.isdigit() and int(fault.mode) in REASONS:
            return fault
        if fault.mode not in ("none", "hang", "refuse", "freeze", "cut-now",
                              "cut-before", "cut-after"):
            raise ValueError(f"unknown fault {fault.mode}")
        return fault

    def hits(self, mode: str, step: str) -> bool:
        return self.mode == mode and self.step in ("", step)


class Connection(asyncio.StreamReaderProtocol):
    """A connection that is read as a stream, until the rest of it is only copied: that takes
    a fifth less time without a stream and a task for each direction."""

    def __init__(self, serve=None) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(limit=CHUNK, loop=loop)
        super().__init__(self.reader, serve, loop=loop)
        self.hand_on = None
        self.feeder = None  # the transport whose bytes are written to this one
        self.is_at_end = False

    def data_received(self, data: bytes) -> None:
        if self.hand_on:
            self.hand_on(data)
        else:
            super().data_received(data)

    def eof_received(self):
        self.end()
        return super().eof_received()

    def connection_lost(self, error) -> None:
        self.end()
        super().connection_lost(error)

    def end(self) -> None:
        if self.hand_on and not self.is_at_end:
            self.hand_on(b"")
        self.is_at_end = True

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.feeder:
            self.feeder.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.feeder:
            self.feeder.resume_reading()


@dataclass
class Copy:
    """One direction of a tunnel."""
    front: "Front"
    source: asyncio.Transport
    target: asyncio.StreamWriter
    over: asyncio.Future
    limit: int | None  # the tunnel is cut after so many bytes
    held: list[bytes] | None = None

    def take(self, data: bytes) -> None:
        """Takes bytes; b"" is the end."""
        if self.held is not None:
            self.held.append(data)
        elif data and self.front.fault.hits("freeze", ""):
            self.held = [data]
            self.source.pause_reading()
            self.front.keep(self.thaw())
        else:
            self.write(data)

    async def thaw(self) -> None:
        await self.front.while_fault("freeze")
        held, self.held = self.held, None
        for data in held:
            self.write(data)
        self.source.resume_reading()

    def write(self, data: bytes) -> None:
        if self.over.done():
            return
        if not data:
            self.over.set_result("")
            return
        self.target.write(data[:self.limit])
        if self.limit is not None:
            self.limit = max(self.limit - len(data), 0)
            if self.limit == 0:
                self.over.set_result(self.front.fault.cut)


class Front:
    def __init__(self) -> None:
        self.token = (DIR / "token").read_text().strip()
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(DIR / "tls.crt", DIR / "tls.key")
        self.fault = Fault()
        self.changed = asyncio.Event()
        self.streams: set[asyncio.Future] = set()
        self.tasks: set[asyncio.Task] = set()
        self.execs = 0
        self.port = 0
        self.listener = None

    # Listening, and the faults.

    async def listen(self) -> None:
        self.listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.serve), "127.0.0.1", self.port, ssl=self.tls,
            ssl_shutdown_timeout=STREAM_CLOSE_SECONDS, backlog=1024)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def control(self, reader, writer) -> None:
        line = (await reader.readline()).decode().strip()
        try:
            if line != "status":
                await self.inject(Fault.parse(line.split() or ["none"]))
            reply = (f"fault={self.fault.mode} streams={len(self.streams)}"
                     f" execs={self.execs}")
        except ValueError as error:
            reply = f"error: {error}"
        writer.write(f"{reply}\n".encode())
        writer.close()

    async def inject(self, fault: Fault) -> None:
        if fault.mode == "cut-now":
            for stream in self.streams:
                if not stream.done():
                    stream.set_result(fault.cut)
            return
        self.fault = fault
        self.listener.close()
        if fault.mode == "hang" and fault.step == "connect":
            self.listener = socket.create_server(("127.0.0.1", self.port))
        elif fault.mode != "refuse":
            await self.listen()
        self.changed.set()
        self.changed = asyncio.Event()

    async def while_fault(self, mode: str, step: str = "") -> None:
        while self.fault.hits(mode, step):
            await self.changed.wait()

    async def misbehave(self, step: str, pod: str) -> None:
        """Plays the faults that strike before a request is answered."""
        fault = self.fault
        if fault.hits("hang", step):
            await self.while_fault("hang", step)
            raise Hangup("fin")
        if fault.mode == "cut-before" and step == "exec":
            raise Hangup(fault.cut)
        if fault.mode.isdigit() and fault.step in ("", step):
            raise fault_refusal(int(fault.mode), step, pod)

    # Requests.

    async def serve(self, reader, writer) -> None:
        how = "close"
        try:
            while request := await read_request(reader):
                if await self.answer(request, reader, writer):
                    break
        except Hangup as hangup:
            how = hangup.how
        except (OSError, asyncio.IncompleteReadError):
            pass
        hang_up(writer, how)

    async def answer(self, request: Request, reader, writer) -> bool:
        """Answers one request; True if the connection is used up."""
        try:
            url = urlsplit(request.target)
            if request.header("authorization") != f"Bearer {self.token}":
                raise Refusal(401, "Unauthorized")
            path = url.path.rstrip("/").split("/")
            if len(path) == 8 and path[-1] == "exec":
                return await self.exec(request, path[4], path[6],
                                       parse_qs(url.query), reader, writer)
            send_json(writer, 200, await self.read_object(url.path, path))
        except Refusal as refusal:
            send_json(writer, refusal.code, refusal.body)
        await writer.drain()
        return False

    async def read_object(self, url_path: str, path: list[str]) -> dict:
        step = "pod" if len(path) == 7 and path[5] == "pods" else "discovery"
        await self.misbehave(step, path[6] if step == "pod" else "")
        if step == "pod":
            return pod_object(path[4], path[6])
        if len(path) == 5 and path[3] == "namespaces":
            return namespace_object(path[4])
        if url_path not in DISCOVERY:
            raise Refusal(404, "the server could not find the requested resource")
        return DISCOVERY[url_path]

    async def exec(self, request: Request, namespace: str, pod: str,
                   query: dict, reader, writer) -> bool:
        self.execs += 1
        await self.misbehave("exec", pod)
        name, container = find_container(namespace, pod,
                                         query.get("container", [""])[0])
        wanted = {stream: query.get(stream, [""])[0] in GO_TRUE
                  for stream in ("tty", "stdin", "stdout", "stderr")}
        try:
            url = urlsplit((await cri.call(self.runtime, "Exec", cri.cri.ExecRequest(
                container_id=container, cmd=query.get("command", []), **wanted))).url)
        except grpc.RpcError as error:
            # The kubelet answers in plain text, not with a Status object.
            print(f"{namespace}/{pod}/{name}: {error.details()}", file=sys.stderr)
            send(writer, 500, "text/plain",
                 f'container not found ("{name}")'.encode())
            return False
        up_reader, up_writer = await self.connect(request, wanted, url)
        try:
            up_writer.write(upstream_head(request, url.path, url.netloc))
            await self.tunnel(reader, writer, up_reader, up_writer)
        finally:
            up_writer.close()
        return True

    async def connect(self, request: Request, wanted: dict[str, bool], url):
        """A connection to containerd's streaming server, or to the translator before it."""
        to = {"host": url.hostname, "port": url.port}
        if TRANSLATES and websocket.is_wanted(request.header):
            ours, its = socket.socketpair()
            self.keep(websocket.serve(its, wanted, url))
            to = {"sock": ours}
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Connection, **to)
        return protocol.reader, asyncio.StreamWriter(transport, protocol, protocol.reader, loop)

    def keep(self, work) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # Streams.

    async def tunnel(self, reader, writer, up_reader, up_writer) -> None:
        """Copies both ways until one side ends or a fault cuts the stream."""
        over = asyncio.get_running_loop().create_future()
        self.streams.add(over)
        try:
            await self.copy(reader, writer, up_writer, over, None)
            head = asyncio.ensure_future(up_reader.readuntil(b"\r\n\r\n"))
            await asyncio.wait([over, head], return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                head.cancel()
            else:
                # Only bytes from the container are counted.
                writer.write(head.result())
                await self.copy(up_reader, up_writer, writer, over,
                                self.fault.limit if self.fault.mode == "cut-after" else None)
            how = await over
        finally:
            self.streams.discard(over)
        if how:
            raise Hangup(how)

    async def copy(self, reader, writer, to_writer, over, limit: int | None) -> None:
        """From now on bytes from READER, whose other half is WRITER, go to TO_WRITER."""
        source, target = (each.transport.get_protocol() for each in (writer, to_writer))
        target.feeder = writer.transport
        source.hand_on = Copy(self, writer.transport, to_writer, over, limit).take
        reader.feed_eof()
        if rest := await reader.read():
            source.hand_on(rest)
        if source.is_at_end:
            source.hand_on(b"")

    async def run(self) -> None:
        self.runtime = grpc.aio.insecure_channel(cri.SOCKET)
        await self.listen()
        await asyncio.start_unix_server(self.control, DIR / "control.sock")
        # `up` waits for this line on a fifo.
        (DIR / "ready").write_text(f"{self.port}\n")
        await asyncio.Event().wait()


def fault_refusal(code: int, step: str, pod: str) -> Refusal:
    if code == 500 and step == "exec":
        # An API server that does not reach the kubelet names no reason.
        refusal = Refusal(500, "error dialing backend: dial tcp 127.0.0.1:10250:"
                               " connect: connection refused")
        refusal.body["reason"] = ""
        return refusal
    verb, resource = ("create", "pods/exec") if step == "exec" else ("get", "pods")
    messages = {
        401: "Unauthorized",
        403: f'pods "{pod}" is forbidden: User "test" cannot {verb} resource'
             f' "{resource}" in API group "" in the namespace "default"',
        404: f'pods "{pod}" not found',
        429: "too many requests, please try again later",
        500: "Internal error occurred: etcdserver: request timed out",
    }
    unavailable = "the server is currently unable to handle the request"
    return Refusal(code, messages.get(code, unavailable),
                   pod if code in (403, 404) else "")


def all_pods() -> list[dict]:
    return json.loads((DIR / "pods.json").read_text())


def namespace_object(name: str) -> dict:
    if name not in [entry["namespace"] for entry in all_pods()]:
        raise Refusal(404, f'namespaces "{name}" not found', name, "namespaces")
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}


def pod_containers(namespace: str, pod: str) -> dict[str, str]:
    for entry in all_pods():
        if (entry["namespace"], entry["pod"]) == (namespace, pod):
            return entry["containers"]
    raise Refusal(404, f'pods "{pod}" not found', pod)


def find_container(namespace: str, pod: str, name: str) -> tuple[str, str]:
    """The name, by default the only one, and the CRI id of a container."""
    containers = pod_containers(namespace, pod)
    if not name and len(containers) > 1:
        raise Refusal(400, f"a container name must be specified for pod {pod},"
                           f" choose one of: [{' '.join(containers)}]")
    if name and name not in containers:
        raise Refusal(400, f"container {name} is not valid for pod {pod}")
    name = name or next(iter(containers))
    return name, containers[name]


def pod_object(namespace: str, pod: str) -> dict:
    containers = [{"name": name} for name in pod_containers(namespace, pod)]
    return {"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": pod, "namespace": namespace},
            "spec": {"containers": containers}, "status": {"phase": "Running"}}


async def read_request(reader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    first, *headers = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    request = Request(method, target, headers)
    await reader.readexactly(int(request.header("content-length") or 0))
    return request


def upstream_head(request: Request, path: str, host: str) -> bytes:
    kept = [line for line in request.headers
            if line.partition(":")[0].lower() not in ("host", "authorization")]
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {host}", *kept, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def send_json(writer, code: int, body: dict) -> None:
    send(writer, code, "application/json", json.dumps(body).encode())


def send(writer, code: int, kind: str, body: bytes) -> None:
    writer.write(f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n"
                 f"Content-Type: {kind}\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def hang_up(writer, how: str) -> None:
    """Ends a connection: with TLS' goodbye, with TCP's only, or with a reset."""
    if how == "close":
        writer.close()
        return
    if how == "rst":
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


asyncio.run(Front().run())
