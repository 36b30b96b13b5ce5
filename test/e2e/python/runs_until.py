"""Deploys flow_work.py to a process work pool and runs it again and again, two at a time, until a file appears.

runs_until.py POOL FILE

Prints a line for each run that has ended, then the ids and states of all of them as JSON.
"""

import asyncio
import json
import sys
from pathlib import Path

from flow_work import work
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectAlreadyExists


async def main(pool: str, stop: Path) -> None:
    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        except ObjectAlreadyExists:
            pass
    source = await work.afrom_source(source=Path(__file__).parent, entrypoint="flow_work.py:work")
    await source.adeploy(name=pool, work_pool_name=pool, print_next_steps=False, ignore_warnings=True)
    ended = []

    async def one_after_another():
        while not stop.exists():
            run = await arun_deployment(
                f"work/{pool}", parameters={"count": 3}, poll_interval=0.5, timeout=120, as_subflow=False
            )
            ended.append({"id": str(run.id), "state": run.state.name if run.state else None})
            print(f"run {len(ended)} ended", flush=True)

    await asyncio.gather(one_after_another(), one_after_another())
    print(json.dumps(ended))


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
