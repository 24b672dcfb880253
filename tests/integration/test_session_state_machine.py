"""Sessions against a simple model, with any order of operations on two workers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway.core.exceptions import TokenInvalid
from tests.support.accounts import AccountApp, SignedInAccount, account_app

WORKERS = st.integers(0, 1)


@dataclass
class Family:
    """A session: its tokens in order, of which the last is unused, until it ends."""

    id: str
    refresh: list[str]
    access: list[str]
    lives: bool = True
    fresh: bool = field(default=False)  # whether the last refresh is within the grace period


class SessionMachine(RuleBasedStateMachine):
    """One account on two workers; `apps` and `runner` are shared by all examples."""

    families = Bundle("families")

    def __init__(self, runner: asyncio.Runner, apps: list[AccountApp]) -> None:
        super().__init__()
        self.runner, self.apps = runner, apps
        self.known: list[Family] = []
        self.person: SignedInAccount

    def call(self, worker: int, method: str, path: str, access: str = "", **body: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {access}"} if access else {}
        options: dict[str, Any] = {"json": body} if body else {}
        return self.runner.run(self.apps[worker].client.request(method, path, headers=headers, **options))

    def began(self, tokens: dict[str, str]) -> Family:
        claims = self.apps[0].tokens.verify(tokens["access_token"])
        family = Family(str(claims.session_id), [tokens["refresh_token"]], [tokens["access_token"]])
        self.known.append(family)
        return family

    @initialize(target=families)
    def register(self) -> Family:
        self.person = self.runner.run(self.apps[0].sign_up())
        return self.began(self.person.tokens)

    @rule(target=families, worker=WORKERS)
    def sign_in(self, worker: int) -> Family:
        return self.began(self.runner.run(self.apps[worker].login(self.person.email)))

    @rule(family=families, worker=WORKERS, back=st.sampled_from([0, 0, 0, 1, 1, 2, 5]))
    def refresh(self, family: Family, worker: int, back: int) -> None:
        back = min(back, len(family.refresh) - 1)
        token = family.refresh[-1 - back]
        answer = self.call(worker, "POST", "/api/auth/refresh", refresh_token=token)
        if family.lives and (back == 0 or (back == 1 and family.fresh)):
            assert answer.status_code == 200, answer.text
            family.access.append(answer.json()["access_token"])
            if back == 0:
                assert answer.json()["refresh_token"] not in family.refresh
                family.refresh.append(answer.json()["refresh_token"])
                family.fresh = True
            else:
                assert answer.json()["refresh_token"] == family.refresh[-1]
        else:
            assert answer.status_code == 401
            code = answer.json()["error"]["code"]
            assert code == ("token_reused" if back else "token_invalid")
            family.lives = False

    @rule()
    def a_moment_passes(self) -> None:
        self.runner.run(
            self.apps[0].sql(
                "UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'"
                " WHERE user_id = CAST(:id AS uuid)",
                id=self.person.id,
            )
        )
        for family in self.known:
            family.fresh = False

    @rule(family=families, worker=WORKERS)
    def come_late(self, family: Family, worker: int) -> None:
        """A browser tab that was suspended while another one refreshed."""
        self.a_moment_passes()
        self.refresh(family, worker, back=1)

    @rule(family=families, worker=WORKERS, back=st.integers(0, 3))
    def log_out(self, family: Family, worker: int, back: int) -> None:
        token = family.refresh[-1 - min(back, len(family.refresh) - 1)]
        assert self.call(worker, "POST", "/api/auth/logout", refresh_token=token).status_code == 204
        family.lives = False

    @rule(family=families, by=families, worker=WORKERS)
    def end_one(self, family: Family, by: Family, worker: int) -> None:
        answer = self.call(worker, "DELETE", f"/api/user/sessions/{family.id}", by.access[-1])
        if not by.lives:
            assert answer.status_code == 401
            return
        assert answer.status_code == (204 if family.lives else 404)
        family.lives = False

    @rule(by=families, worker=WORKERS)
    def end_all(self, by: Family, worker: int) -> None:
        answer = self.call(worker, "DELETE", "/api/user/sessions", by.access[-1])
        assert answer.status_code == (204 if by.lives else 401)
        if by.lives:
            for family in self.known:
                family.lives = False

    @invariant()
    def tokens_are_worth_what_their_session_is(self) -> None:
        self.runner.run(self.check())

    async def check(self) -> None:
        for family in self.known:
            for app, access in ((self.apps[0], family.access[0]), (self.apps[1], family.access[-1])):
                assert await is_good(app, access) == family.lives
        listed = await self.apps[0].container.accounts.sessions.list(UUID(self.person.id))
        assert {str(session.id) for session in listed} == {one.id for one in self.known if one.lives}


async def is_good(app: AccountApp, access: str) -> bool:
    try:
        await app.container.accounts.authenticator.authenticate({"authorization": f"Bearer {access}"})
    except TokenInvalid:
        return False
    return True


def test_sessions_match_the_model(database_url: str, redis_url: str) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> list[AccountApp]:
            return [await stack.enter_async_context(account_app(database_url, redis_url)) for _ in range(2)]

        apps = runner.run(start())
        try:
            run_state_machine_as_test(
                lambda: SessionMachine(runner, apps),
                settings=settings(
                    max_examples=15,
                    stateful_step_count=15,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(stack.aclose())
