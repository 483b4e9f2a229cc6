#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starts the pods of the test cluster through containerd's CRI socket.

Also the home of call() and of the generated messages, which the API front
uses.  The message classes come from cri.proto; `up` generates them into
DIR/gen.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DIR = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(DIR / "gen"))

import cri_pb2 as cri  # noqa: E402  (found through the line above)
import grpc  # noqa: E402

SOCKET = f"unix://{DIR}/containerd.sock"
IMAGE = "localhost/hooksfs"
STARTUP_SECONDS = 20


def call(channel, method: str, request, service: str = "RuntimeService"):
    """Calls METHOD of the CRI; an aio channel gives an awaitable."""
    answer = getattr(cri, f"{method}Response")
    return channel.unary_unary(
        f"/runtime.v1.{service}/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString)(request)


def read_table(path: Path) -> dict[tuple[str, str], list[list[str]]]:
    """Maps (namespace, pod) to its lines: [container, image, option...]."""
    pods: dict[tuple[str, str], list[list[str]]] = {}
    for line in path.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            pods.setdefault((words[0], words[1]), []).append(words[2:])
    return pods


def wait_for_images(channel) -> None:
    """Waits until the CRI plugin has started and seen the imported images."""
    deadline = time.monotonic() + STARTUP_SECONDS
    for tag in ("busybox", "debian", "bare"):
        request = cri.ImageStatusRequest(image=image_spec(tag))
        while not image_known(channel, request):
            if time.monotonic() > deadline:
                sys.exit(f"cri.py: containerd does not list {IMAGE}:{tag}")
            time.sleep(0.01)


def image_known(channel, request) -> bool:
    try:
        return bool(call(channel, "ImageStatus", request, "ImageService").image.id)
    except grpc.RpcError as error:
        starting = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)
        if error.code() not in starting:
            raise
        return False


def image_spec(tag: str):
    return cri.ImageSpec(image=f"{IMAGE}:{tag}")


def namespaces():
    return cri.NamespaceOption(network=cri.NODE, pid=cri.CONTAINER)


def sandbox_config(namespace: str, pod: str):
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=pod, namespace=namespace,
                                        uid=f"{namespace}-{pod}"),
        log_directory=str(DIR / "log" / namespace / pod),
        dns_config=cri.DNSConfig(servers=["127.0.0.1"]),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent="/hooksfs" + str(DIR).replace("/", "-"),
            security_context=cri.LinuxSandboxSecurityContext(
                namespace_options=namespaces())))


def container_config(volumes: Path, name: str, image: str, options: list[str]):
    """VOLUMES is the directory in which `node` has mounted the volumes of the container."""
    context = cri.LinuxContainerSecurityContext(namespace_options=namespaces())
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=name), image=image_spec(image))
    for option in options:
        key, _, value = option.partition("=")
        if key == "readonly":
            context.readonly_rootfs = True
        elif key == "user":
            context.run_as_user.value = int(value)
        elif key == "env":
            variable, _, value = value.partition("=")
            config.envs.add(key=variable, value=value)
        elif key == "volume":
            path, *flags = value.split(":")
            config.mounts.add(container_path=path, host_path=f"{volumes}{path}",
                              readonly="ro" in flags)
        elif key == "agent":
            config.mounts.add(container_path="/agent", host_path=str(DIR / "agent"),
                              readonly=True)
        else:
            sys.exit(f"cri.py: unknown container option {option}")
    config.linux.security_context.CopyFrom(context)
    return config


def start_pod(channel, namespace: str, pod: str, lines: list[list[str]]) -> dict:
    sandbox = sandbox_config(namespace, pod)
    sandbox_id = call(channel, "RunPodSandbox", cri.RunPodSandboxRequest(
        config=sandbox)).pod_sandbox_id
    containers = {}
    for name, image, *options in lines:
        container = call(channel, "CreateContainer", cri.CreateContainerRequest(
            pod_sandbox_id=sandbox_id, sandbox_config=sandbox,
            config=container_config(DIR / "volumes" / namespace / pod / name, name,
                                    image, options))).container_id
        call(channel, "StartContainer",
             cri.StartContainerRequest(container_id=container))
        containers[name] = container
    return {"namespace": namespace, "pod": pod, "containers": containers}


def main() -> None:
    table = read_table(Path(sys.argv[2]))
    channel = grpc.insecure_channel(SOCKET)
    wait_for_images(channel)
    with ThreadPoolExecutor() as pool:
        started = pool.map(
            lambda item: start_pod(channel, *item[0], item[1]), table.items())
        pods = list(started)
    (DIR / "pods.json").write_text(json.dumps(pods, indent=1))


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as failure:
        sys.exit(f"cri.py: containerd: {failure.details()}")
