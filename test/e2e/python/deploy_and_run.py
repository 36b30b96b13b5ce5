"""Deploys flow_work.py to a process work pool, runs it once, and prints what Prefect's API then knows of the run.

deploy_and_run.py POOL
"""

import asyncio
import json
import sys
from pathlib import Path

from flow_work import work
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.deployments import arun_deployment
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter
from prefect.exceptions import ObjectAlreadyExists

COUNT = 3


async def until(read, enough):
    """Server-side services persist task runs, events and logs a moment after the run has ended."""
    for _ in range(600):
        found = await read()
        if enough(found):
            return found
        await asyncio.sleep(0.1)
    raise SystemExit(f"not persisted in 60 s: {found!r}")


async def main(pool: str) -> None:
    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        except ObjectAlreadyExists:
            pass
        source = await work.afrom_source(source=Path(__file__).parent, entrypoint="flow_work.py:work")
        await source.adeploy(name=pool, work_pool_name=pool, print_next_steps=False, ignore_warnings=True)
        run = await arun_deployment(
            f"work/{pool}", parameters={"count": COUNT}, poll_interval=0.5, timeout=90, as_subflow=False
        )
        this_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        tasks = await until(
            lambda: client.read_task_runs(flow_run_filter=this_run),
            lambda found: len(found) == COUNT and all(t.state and t.state.is_final() for t in found),
        )
        logs = await until(
            lambda: client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))),
            lambda found: any("the sum of" in log.message for log in found),
        )
        wanted = EventFilter(
            event=EventNameFilter(name=["certgate.test.squared"]),
            related=EventRelatedFilter(id=[f"prefect.flow-run.{run.id}"]),
        )

        async def events():
            page = await client.read_events(wanted, limit=1)
            found = list(page.events)
            while page.next_page:
                page = await client.read_events_page(page.next_page)
                found.extend(page.events)
            return found

        found = await until(events, lambda found: len(found) >= COUNT)
        print(
            json.dumps(
                {
                    "flowRun": str(run.id),
                    "state": run.state.name if run.state else None,
                    "createdBy": run.created_by.display_value if run.created_by else None,
                    "tasks": sorted(f"{t.name} {t.state.name}" for t in tasks),
                    "logs": sorted(log.message for log in logs),
                    "events": sorted(event.resource.id for event in found),
                }
            )
        )


asyncio.run(main(sys.argv[1]))
