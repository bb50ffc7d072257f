#!/usr/bin/env python3
"""What idle connections cost, and what they do to those at work.

    . scripts/env.sh && cargo build --release -p bigrain-tools
    python3 benches/connections.py "$CARGO_TARGET_DIR/release/bigrain" --idle 10000 --active 500

Starts a server on a data folder of its own, opens idle connections (HTTP/2, as clients of gRPC do: they have sent their
settings and answer pings), and active ones that search, each once a second, evenly spread. Prints the resident memory of the
server before and after, latencies with and without the idle ones, and what happens to a connection beyond the limit. Needs
nothing but Python; its own time is part of the latencies.
"""

import argparse
import asyncio
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING = 4, 6
DIMS, POINTS = 384, 20_000


def frame(kind, flags, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + payload


async def stay_idle(port, opened):
    """Speaks HTTP/2 and asks for nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(PREFACE + frame(SETTINGS, 0))
    while True:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags = head[3], head[4]
        if kind == SETTINGS and not flags & 1:
            writer.write(frame(SETTINGS, 1))
            opened()
        elif kind == PING and not flags & 1:
            writer.write(frame(PING, 1, payload))


class Http:
    """One connection of HTTP/1.1 that is kept."""

    def __init__(self, port):
        self.port = port

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, method, path, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
        self.writer.write(head.encode() + text)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(re.search(r"content-length: (\d+)", answer)[1])
        return int(answer.split(" ")[1]), (await self.reader.readexactly(length)).decode()


def vector(numbers):
    return [numbers.gauss(0, 1) for _ in range(DIMS)]


async def searches(port, connections, seconds, seed):
    """Searches on so many connections, each once a second; returns the milliseconds each took."""
    numbers, took = random.Random(seed), []

    async def client(number):
        http = await Http(port).open()
        await asyncio.sleep(number / connections)
        for _ in range(seconds):
            began = time.perf_counter()
            status, _ = await http.ask("POST", "/collections/bench/points/query", {"query": vector(numbers), "limit": 10})
            assert status == 200, status
            took.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(max(0.0, 1 - (time.perf_counter() - began)))
        http.writer.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    return sorted(took)


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])


def show(what, took):
    at = lambda share: took[min(len(took) - 1, int(len(took) * share))]
    print(f"{what}: {len(took)} searches, p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, slowest {took[-1]:.2f} ms")


async def measure(arguments, port, pid):
    http = await Http(port).open()
    await http.ask("PUT", "/collections/bench", {"vectors": {"size": DIMS, "distance": "Cosine"}})
    numbers = random.Random(7)
    for first in range(0, POINTS, 500):
        points = [{"id": number, "vector": vector(numbers)} for number in range(first, first + 500)]
        status, answer = await http.ask("PUT", "/collections/bench/points?wait=true", {"points": points})
        assert status == 200, answer
    show("without idle connections", await searches(port, arguments.active, arguments.seconds, 1))

    before, count, all_open = resident_kb(pid), 0, asyncio.Event()

    def opened():
        nonlocal count
        count += 1
        if count == arguments.idle:
            all_open.set()

    idle = []
    for number in range(arguments.idle):
        idle.append(asyncio.create_task(stay_idle(port, opened)))
        if number % 200 == 199:
            await asyncio.sleep(0.02)
    await all_open.wait()
    after = resident_kb(pid)
    print(f"{count} idle connections: {before} kB before, {after} kB after, {(after - before) * 1024 / count:.0f} bytes each")
    show("beside idle connections", await searches(port, arguments.active, arguments.seconds, 2))
    lost = sum(task.done() for task in idle)
    print(f"idle connections that were lost meanwhile: {lost}")

    more = [await Http(port).open() for _ in range(arguments.active)]
    try:
        status, answer = await (await Http(port).open()).ask("GET", "/healthz")
        print(f"beyond the limit: {status} {answer}")
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        print(f"beyond the limit: {error!r}")
    for http in more:
        http.writer.close()
    for task in idle:
        task.cancel()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bigrain")
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--active", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        # One more than there are: that of the client that fills the collection.
        limit = arguments.idle + arguments.active + 1
        command = [arguments.bigrain, "--data", folder, "serve", "--listen", "127.0.0.1:0"]
        command += ["--set", f"max_connections={limit}"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            asyncio.run(measure(arguments, port, server.pid))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
