"""Deploys etl.py to a work pool, starts a run of it, waits for its end and reads back what Prefect has recorded, all
with Prefect's own client at PREFECT_API_URL. Prints one JSON object a line: deployed, run, logs, events.

deploy_and_run.py POOL
"""

import asyncio
import json
import sys
from pathlib import Path

from etl import etl
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import LogSort
from prefect.deployments import arun_deployment
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter

SECONDS = 90


def say(what: str, **facts: object) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


async def until(read, enough):
    """Prefect records logs, task runs and events a moment after the run has ended."""
    for _ in range(SECONDS * 5):
        found = await read()
        if enough(found):
            return found
        await asyncio.sleep(0.2)
    raise SystemExit(f"not on record after {SECONDS} s; so far: {found!r}")


async def main(pool: str) -> None:
    here = Path(__file__).parent
    source = await etl.afrom_source(source=str(here), entrypoint="etl.py:etl")
    await source.adeploy(name=pool, work_pool_name=pool, print_next_steps=False, ignore_warnings=True)
    say("deployed")

    run = await arun_deployment(f"etl/{pool}", poll_interval=0.3, timeout=SECONDS, as_subflow=False)
    async with get_client() as client:
        this_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        tasks = await until(
            lambda: client.read_task_runs(flow_run_filter=this_run),
            lambda found: len(found) == 3 and all(task.state and task.state.is_final() for task in found),
        )
        say("run", name=run.name, state=run.state.name if run.state else "unknown", tasks=len(tasks))

        logs = await until(
            lambda: client.read_logs(
                LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])), sort=LogSort.TIMESTAMP_ASC
            ),
            lambda found: any("rows loaded" in log.message for log in found) or (run.state and not run.state.is_completed()),
        )
        own = [log for log in logs if log.message.startswith(("extract", "transform", "load", "etl"))]
        say("logs", count=len(logs), lines=[[f"{log.timestamp:%H:%M:%S}", log.message] for log in own])

        wanted = EventFilter(
            event=EventNameFilter(prefix=["demo."]), related=EventRelatedFilter(id=[f"prefect.flow-run.{run.id}"])
        )
        page = await until(lambda: client.read_events(wanted, limit=50), lambda found: len(found.events) >= 3)
        say("events", count=len(page.events))


asyncio.run(main(sys.argv[1]))
