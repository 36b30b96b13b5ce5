"""The flow of the end-to-end tests: tasks that run one after the other, log lines and custom events."""

from prefect import flow, get_run_logger, task
from prefect.events import emit_event


@task
def square(number: int) -> int:
    get_run_logger().info("squaring %d", number)
    emit_event(
        event="certgate.test.squared",
        resource={"prefect.resource.id": f"certgate.test.number.{number}"},
        payload={"square": number * number},
    )
    return number * number


@flow
def work(count: int = 3) -> int:
    total = sum(square(number) for number in range(count))
    get_run_logger().info("the sum of %d squares is %d", count, total)
    return total
