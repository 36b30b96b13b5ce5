"""Emits events, waits for the file AWAY, and emits more while nothing may be reached; prints how many were emitted.

emit_while_away.py NAME AWAY

Says "reconnecting N" at each attempt of Prefect's client to connect again.
"""

import asyncio
import json
import sys
from pathlib import Path

from prefect.events import Event
from prefect.events.clients import RETRYABLE_EXCEPTIONS, PrefectEventsClient

EVENTS = 5


async def confirm(client: PrefectEventsClient) -> None:
    """What the client does by itself every 30 s: has the server confirm what it got, and sends again what it did not."""
    for _ in range(30):
        try:
            await client._force_checkpoint()
            return
        except RETRYABLE_EXCEPTIONS:
            try:
                await client._reconnect()
            except RETRYABLE_EXCEPTIONS:
                await asyncio.sleep(1)


async def main(name: str, away: Path) -> None:
    async with PrefectEventsClient() as client:
        reconnect, attempts = client._reconnect, 0

        async def reconnect_aloud() -> None:
            nonlocal attempts
            attempts += 1
            print(f"reconnecting {attempts}", flush=True)
            await reconnect()

        client._reconnect = reconnect_aloud

        async def emit(number: int) -> None:
            await client.emit(
                Event(event=f"certgate.test.{name}", resource={"prefect.resource.id": f"certgate.test.{number}"})
            )

        for number in range(EVENTS):
            await emit(number)
        print("ready", flush=True)
        while not away.exists():
            await asyncio.sleep(0.05)
        for number in range(EVENTS, 2 * EVENTS):
            await emit(number)
        await confirm(client)
        print(json.dumps({"emitted": 2 * EVENTS, "unconfirmed": len(client._unconfirmed_events)}))


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
