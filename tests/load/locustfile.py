"""A realistic mix of people and services for Locust; loopback unless you say otherwise.

    make load ADMIN_EMAIL=… ADMIN_PASSWORD=… API_KEY=gw_… [USERS=50] [SECONDS=120] [HOST_URL=http://127.0.0.1:8000]

Before the load it makes `PEOPLE` accounts of the largest tier, and deletes them afterwards. Model calls go to
`MODEL` (`mock`, which costs nothing). A stream's row has the time to its last event, its row `… first word`
the time to its first. What ends without its last event counts as a failure, whatever its status was.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from typing import Any

import requests
from locust import HttpUser, between, events, task
from locust.env import Environment

MODEL = os.environ.get("MODEL", "mock")
PEOPLE = int(os.environ.get("PEOPLE", "20"))
PASSWORD = secrets.token_urlsafe(24)
QUESTIONS = (
    "Say hello.",
    "Summarise the water cycle in one sentence.",
    "What is 12 percent of 250?",
    "물의 순환을 한 문장으로 설명해 줘.",
    "Write a haiku about a lighthouse.",
)
people: list[dict[str, Any]] = []


@events.test_start.add_listener
def make_people(environment: Environment, **_: Any) -> None:
    """Accounts that no limit of a small tier gets in the way of; made one by one, as sign-ups are slowed."""
    host = str(environment.host)
    admin = _session(host, os.environ["ADMIN_EMAIL"], os.environ["ADMIN_PASSWORD"])
    for number in range(PEOPLE):
        email = f"load-{secrets.token_hex(4)}-{number}@example.com"
        made = requests.post(
            f"{host}/api/auth/register", json={"email": email, "password": PASSWORD}, timeout=30
        )
        made.raise_for_status()
        raised = requests.patch(
            f"{host}/api/admin/users/{made.json()['id']}",
            json={"tier": os.environ.get("TIER", "enterprise")},
            headers=admin,
            timeout=30,
        )
        raised.raise_for_status()
        people.append({"headers": _session(host, email, PASSWORD)})


@events.test_stop.add_listener
def forget_people(environment: Environment, **_: Any) -> None:
    """Take the accounts away again."""
    for person in people:
        requests.delete(
            f"{environment.host}/api/user/me",
            json={"password": PASSWORD},
            headers=person["headers"],
            timeout=30,
        ).raise_for_status()
    people.clear()


def _session(host: str, email: str, password: str) -> dict[str, str]:
    answer = requests.post(f"{host}/api/auth/login", json={"email": email, "password": password}, timeout=30)
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


class Streaming(HttpUser):
    """Reads streams to their end, and says so where there was none."""

    abstract = True

    def follow(self, path: str, body: dict[str, Any], headers: dict[str, str], last: bytes) -> list[bytes]:
        """POST and read events; `last` is how the last line of a good stream begins."""
        lines: list[bytes] = []
        began = time.perf_counter()
        with self.client.post(path, json=body, headers=headers, stream=True, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
                return lines
            for line in answer.iter_lines(chunk_size=None):  # each chunk as it comes
                if not lines:
                    self._first_word(path, began)
                lines.append(line)
            if not any(line.startswith(last) for line in lines):
                answer.failure("the stream ended without its last event")
        return lines

    def _first_word(self, path: str, began: float) -> None:
        self.environment.events.request.fire(
            request_type="SSE",
            name=f"{path} first word",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={},
        )


class Person(Streaming):
    """Chats in conversations that are kept, reads old ones, looks at the models."""

    weight = 3
    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        self.headers = random.choice(people)["headers"]
        self.conversation: str | None = None

    @task(8)
    def chat(self) -> None:
        body = {"message": random.choice(QUESTIONS), "model": MODEL, "conversation_id": self.conversation}
        for line in self.follow("/api/chat/stream", body, self.headers, b"event: done"):
            if line.startswith(b"data:") and b'"conversation_id"' in line:
                self.conversation = json.loads(line.removeprefix(b"data:"))["conversation_id"]

    @task(2)
    def begin_anew(self) -> None:
        self.conversation = None

    @task(3)
    def read(self) -> None:
        self.client.get("/api/conversations/", headers=self.headers)
        if self.conversation:
            path = f"/api/conversations/{self.conversation}"
            self.client.get(path, headers=self.headers, name="/api/conversations/{id}")

    @task(1)
    def look_around(self) -> None:
        self.client.get("/api/models", headers=self.headers)
        self.client.get("/api/user/me/usage", headers=self.headers)


class Service(Streaming):
    """Calls OpenAI's API with a key, as programs do."""

    weight = 2
    wait_time = between(0.1, 0.5)

    def on_start(self) -> None:
        self.headers = {"Authorization": f"Bearer {os.environ['API_KEY']}"}

    @task(6)
    def complete(self) -> None:
        self.client.post("/v1/chat/completions", json=self._body(), headers=self.headers)

    @task(3)
    def complete_streamed(self) -> None:
        body = {**self._body(), "stream": True}
        self.follow("/v1/chat/completions", body, self.headers, b"data: [DONE]")

    @task(1)
    def embed(self) -> None:
        body = {"model": "wordllama", "input": list(QUESTIONS)}
        self.client.post("/v1/embeddings", json=body, headers=self.headers)

    @task(1)
    def list_models(self) -> None:
        self.client.get("/v1/models", headers=self.headers)

    def _body(self) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": random.choice(QUESTIONS)}]}
