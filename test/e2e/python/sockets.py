"""Uses each of Prefect's five WebSockets once with Prefect's own client, and prints what came of it.

sockets.py NAME   (NAME: a word that keeps this run's events, logs and work pool apart from others')
"""

import asyncio
import json
import sys
from datetime import datetime, timezone
from uuid import uuid4

from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import LogCreate, WorkPoolCreate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient, PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.logging.clients import PrefectLogsSubscriber
from prefect.settings import get_current_settings
from prefect.task_worker import TaskWorker
from prefect.workers.process import ProcessWorker

EVENTS = 25


@task
def add(left: int, right: int) -> int:
    return left + right


async def events_in_and_out(name: str) -> dict:
    """/events/in with checkpoints (a ping, and its pong from the server) and /events/out."""
    wanted = EventFilter(event=EventNameFilter(name=[f"certgate.test.{name}"]))
    sent = [
        Event(event=f"certgate.test.{name}", resource={"prefect.resource.id": f"certgate.test.{i}"}, payload={"i": i})
        for i in range(EVENTS)
    ]
    async with PrefectEventSubscriber(filter=wanted) as subscriber:
        async with PrefectEventsClient(checkpoint_every=10) as client:
            for event in sent:
                await client.emit(event)
            before = len(client._unconfirmed_events)
            await client._force_checkpoint()
            after = len(client._unconfirmed_events)
        received = [(await anext(subscriber)).id for _ in sent]
    return {
        "received": len(received),
        "same": sorted(received) == sorted(event.id for event in sent),
        "unconfirmedBeforeCheckpoint": before,
        "unconfirmedAfterCheckpoint": after,
    }


async def logs_out() -> str:
    """/logs/out. The stream is live only: lines are sent until the subscription has begun to see them."""
    run = uuid4()

    async def send_lines(client) -> None:
        while True:
            now = datetime.now(timezone.utc)
            await client.create_logs(
                [LogCreate(name="certgate.test", level=20, message="a line", timestamp=now, flow_run_id=run)]
            )
            await asyncio.sleep(0.2)

    async with get_client() as client:
        async with PrefectLogsSubscriber(filter=LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))) as subscriber:
            sending = asyncio.create_task(send_lines(client))
            try:
                return (await anext(subscriber)).message
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)


async def scheduled_task_runs() -> int:
    """/task_runs/subscriptions/scheduled: a task worker runs a delayed task."""
    worker = TaskWorker(add, limit=1)
    started = asyncio.create_task(worker.start())
    try:
        future = await asyncio.to_thread(add.delay, 20, 22)
        await asyncio.to_thread(future.wait, 60)
        return await asyncio.to_thread(future.result, 10)
    finally:
        started.cancel()
        await asyncio.gather(started, return_exceptions=True)


async def worker_channel(name: str) -> dict:
    """/work_pools/NAME/workers/connect"""
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=f"sockets {name}", type="process"))
    async with ProcessWorker(work_pool_name=f"sockets {name}", name=f"worker {name}") as worker:
        await worker.sync_with_backend()
        channel = worker._worker_channel
        return {"status": channel.state.status.value, "reason": channel.state.reason, "workerId": channel.worker_id is not None}


async def main(name: str) -> None:
    async with asyncio.timeout(100):
        print(
            json.dumps(
                {
                    "events": await events_in_and_out(name),
                    "logs": await logs_out(),
                    "task": await scheduled_task_runs(),
                    "channel": await worker_channel(name),
                    "authString": get_current_settings().api.auth_string is not None,
                }
            )
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
