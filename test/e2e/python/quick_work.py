"""A flow and a task that do next to nothing: for whether something runs at all.

quick_work.py               runs the flow here
quick_work.py delay         leaves a run of the task to whoever serves it
quick_work.py serve NAME    serves the flow
quick_work.py deploy NAME POOL
"""

import sys
from pathlib import Path

from prefect import flow, task


@flow(log_prints=True)
def quick() -> None:
    print("quick")


@task
def quick_task(word: str) -> str:
    return word


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            quick()
        case ["delay", word]:
            print(f"task run {quick_task.delay(word).task_run_id}")
        case ["serve", name]:
            quick.serve(name=name)
        case ["deploy", name, pool]:
            source = flow.from_source(source=str(Path(__file__).parent), entrypoint="quick_work.py:quick")
            source.deploy(name=name, work_pool_name=pool, print_next_steps=False, ignore_warnings=True)
