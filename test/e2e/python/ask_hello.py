"""Asks for /hello with Prefect's own client, and prints the status of the answer that it gets in the end.

ask_hello.py
"""

import asyncio
import json

from prefect.client.orchestration import get_client


async def main() -> None:
    async with get_client() as client:
        response = await client.hello()
        print(json.dumps({"status": response.status_code}))


asyncio.run(main())
