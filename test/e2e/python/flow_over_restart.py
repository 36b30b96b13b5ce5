"""A flow that lives through a restart of the Prefect server: three tasks before it, one API call while the server is
down, three tasks after it.

flow_over_restart.py DOWN     (DOWN: the file that says that the server is down)
"""

import json
import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.context import get_run_context
from prefect.events import emit_event

DOWN = Path(sys.argv[1])


@task
def step(number: int) -> int:
    get_run_logger().info("step %d", number)
    emit_event(event="certgate.test.step", resource={"prefect.resource.id": f"certgate.test.step.{number}"})
    return number


@flow
def over_restart() -> str:
    run = get_run_context().flow_run
    for number in range(3):
        step(number)
    print("ready", flush=True)
    while not DOWN.exists():
        time.sleep(0.05)
    with get_client(sync_client=True) as client:
        print(f"asked while down: {client.read_flow_run(run.id).state.name}", flush=True)
    for number in range(3, 6):
        step(number)
    return str(run.id)


print(json.dumps({"flowRun": over_restart()}))
