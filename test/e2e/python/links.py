"""Follows a trailing-slash redirect and the next_page links of events, as Prefect's own client does, and prints where
they led.

links.py NAME
"""

import asyncio
import json
import sys

from prefect.client.orchestration import get_client
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient
from prefect.events.filters import EventFilter, EventNameFilter

EVENTS = 3


async def main(name: str) -> None:
    async with PrefectEventsClient() as events:
        for i in range(EVENTS):
            await events.emit(Event(event=f"certgate.test.{name}", resource={"prefect.resource.id": f"certgate.test.{i}"}))
        await events._force_checkpoint()
    wanted = EventFilter(event=EventNameFilter(name=[f"certgate.test.{name}"]))
    async with get_client() as client:
        for _ in range(600):
            page = await client.read_events(wanted, limit=1)
            if page.total == EVENTS:
                break
            await asyncio.sleep(0.1)
        links, found = [], [event.resource.id for event in page.events]
        while page.next_page:
            links.append(str(page.next_page))
            page = await client.read_events_page(page.next_page)
            found += [event.resource.id for event in page.events]
        redirected = await client._client.get("/block_capabilities")
        posted = await client._client.post("/flows", json={"name": f"redirected {name}"})
        print(
            json.dumps(
                {
                    "links": links,
                    "events": sorted(found),
                    "get": [redirected.status_code, [r.headers["location"] for r in redirected.history]],
                    "post": [posted.status_code, [r.headers["location"] for r in posted.history]],
                    "flow": posted.json()["name"],
                }
            )
        )


asyncio.run(main(sys.argv[1]))
