"""The demo's flow: three tasks, each with log lines and an event of its own. Nothing in it knows of certgate."""

from prefect import flow, get_run_logger, task
from prefect.events import emit_event


def done(step: str, rows: int) -> None:
    get_run_logger().info("%s: %d rows", step, rows)
    emit_event(event=f"demo.{step}", resource={"prefect.resource.id": "demo.orders"}, payload={"rows": rows})


@task
def extract() -> list[int]:
    rows = list(range(120))
    done("extract", len(rows))
    return rows


@task
def transform(rows: list[int]) -> list[int]:
    kept = [row for row in rows if row % 3]
    done("transform", len(kept))
    return kept


@task
def load(rows: list[int]) -> int:
    done("load", len(rows))
    return len(rows)


@flow
def etl() -> int:
    count = load(transform(extract()))
    get_run_logger().info("etl: %d rows loaded", count)
    return count
