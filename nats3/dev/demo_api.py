"""What the demo asks of nats3, over HTTP like anybody else."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx2

from nats3.errors import Nats3Error

ANSWER_WITHIN_S = 30.0
ENDED_BADLY = frozenset({"blocked", "failed", "completed_with_gaps"})


class ApiRefused(Nats3Error):
    """The API answered no; the text is its own."""

    def __init__(self, asked: str, status: int, text: str) -> None:
        super().__init__(f"{asked} answered {status}: {text}")
        self.status = status


class JobStuck(Nats3Error):
    """A job of the demo will not go on by itself."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(f"job {job['name']} is {job['state']}: {job.get('reason') or job}")


class Api:
    """One nats3. Raises ApiRefused, and httpx2's errors when it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=ANSWER_WITHIN_S, trust_env=False)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def store(self, order: dict[str, object]) -> str:
        """Order a store job by version 2, where the age of a chunk is to be had; its id."""
        return (await self._ask("POST", "/api/v2/jobs", {"kind": "store", **order}))["id"]

    async def pause_store(self, job_id: str) -> None:
        await self._ask("POST", f"/api/v1/store/job/pause?job_id={job_id}")

    async def load(self, order: dict[str, object]) -> str:
        """Order a load job by version 2, where the original subjects are to be had; its id."""
        return (await self._ask("POST", "/api/v2/jobs", {"kind": "load", **order}))["id"]

    async def job(self, job_id: str) -> dict[str, Any]:
        """The job with `state` and `progress`. Raises JobStuck when it will not go on by itself."""
        job = await self._ask("GET", f"/api/v2/jobs/{job_id}")
        if job["state"] in ENDED_BADLY:
            raise JobStuck(job)
        return job

    async def history(self, job_id: str) -> list[dict[str, Any]]:
        """All events of the job's run, oldest first."""
        events: list[dict[str, Any]] = []
        address: str | None = f"/api/v2/events?entity=run/{job_id}"
        while address:
            answer = await self._client.get(address)
            events += self._decoded(answer)["items"]
            address = answer.links.get("next", {}).get("url")
        return events

    async def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return self._decoded(await self._client.request(method, path, json=body))

    def _decoded(self, answer: httpx2.Response) -> dict[str, Any]:
        if answer.is_error:
            raise ApiRefused(f"{answer.request.method} {answer.request.url}", answer.status_code, answer.text)
        return answer.json()
