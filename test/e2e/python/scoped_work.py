"""A flow that uses most of what a flow run asks of Prefect: tasks, a subflow, logs, an artifact, a variable, a block, a limit;
and one that goes on until it is ended.

scoped_work.py FLOW POOL TAG   deploys one of them to the pool with the tag
"""

import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from prefect.concurrency.sync import concurrency
from prefect.events import emit_event
from prefect.variables import Variable


@task
def square(number: int) -> int:
    return number * number


@flow(name="scoped-child")
def child(number: int) -> int:
    return square(number)


@flow(name="scoped-work")
def scoped(count: int = 2) -> int:
    secret = Secret.load("scoped-secret").get()
    word = Variable.get("scoped_word")
    with concurrency("scoped-limit", occupy=1):
        total = sum(square.map(range(count)).result())
    total += child(3)
    create_markdown_artifact(key="scoped-artifact", markdown=f"# {word}")
    emit_event("certgate.test.scoped", resource={"prefect.resource.id": "certgate.test.scoped"})
    get_run_logger().info("scoped %s %s %s", word, secret, total)
    return total


@flow(name="scoped-wait")
def waiting() -> None:
    get_run_logger().info("waiting")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    which, pool, tag = sys.argv[1:]
    source = flow.from_source(source=Path(__file__).parent, entrypoint=f"scoped_work.py:{which}")
    print(source.deploy(name=pool, work_pool_name=pool, tags=[tag], print_next_steps=False, ignore_warnings=True))
