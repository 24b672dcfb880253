"""HTTP routes: each parses with a dialect, asks one service, answers."""

from __future__ import annotations

from fastapi import FastAPI


def include_all(app: FastAPI) -> None:
    """Every router; a new one is one line here. Routes are matched in order, so the busiest come first."""
    from gateway.routers import (
        admin,
        admin_usage,
        api_keys,
        auth,
        catalog,
        chat,
        circuit_breakers,
        console,
        console_session,
        conversations,
        generate,
        health,
        media,
        openai_compat,
        openai_more,
        reloads,
        responses,
        sessions,
        usage,
        users,
    )

    for module in (
        *(
            openai_compat,
            chat,
            responses,
            openai_more,
            generate,
            media,
            conversations,
            catalog,
            health,
            auth,
            console_session,
            console,
            users,
            usage,
            sessions,
            api_keys,
        ),
        *(admin, admin_usage, circuit_breakers, reloads),
    ):
        app.include_router(module.router)
