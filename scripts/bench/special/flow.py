"""Runs a flow of COUNT small tasks with Prefect's own client at PREFECT_API_URL and prints its wall time as JSON: of the
flow run alone, without the interpreter's start and the imports.

flow.py COUNT
"""

import json
import sys
import time

from prefect import flow, task


@task
def square(number: int) -> int:
    return number * number


@flow
def squares(count: int) -> int:
    return sum(square(number) for number in range(count))


count = int(sys.argv[1])
began = time.perf_counter()
total = squares(count)
seconds = time.perf_counter() - began
assert total == sum(number * number for number in range(count))
print(json.dumps({"seconds": seconds}))
