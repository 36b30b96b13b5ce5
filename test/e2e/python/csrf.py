"""Writes and reads a variable with Prefect's own client, and prints whether it needed a CSRF token for that.

csrf.py NAME
"""

import asyncio
import json
import sys

from prefect.client.orchestration import get_client
from prefect.variables import Variable


async def main(name: str) -> None:
    await Variable.aset(name, "a value")
    async with get_client() as client:
        flow = await client._client.post("/flows/", json={"name": f"csrf {name}"})
        print(
            json.dumps(
                {
                    "variable": await Variable.aget(name),
                    "flow": flow.status_code,
                    "csrf": client._client.enable_csrf_support,
                    "token": client._client.csrf_token is not None,
                }
            )
        )


asyncio.run(main(sys.argv[1]))
