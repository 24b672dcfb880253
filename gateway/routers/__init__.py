"""HTTP routes: parse with a dialect, call one service, encode the result. No business logic."""

from __future__ import annotations

from fastapi import FastAPI


def include_all(app: FastAPI) -> None:
    """Include every router, busiest first: routes match in order. A new one is one line here."""
    from gateway.routers.admin import circuit_breakers, reload
    from gateway.routers.admin import usage as admin_usage
    from gateway.routers.admin import users as admin_users
    from gateway.routers.api import (
        api_keys,
        auth,
        chat,
        console_session,
        conversations,
        generate,
        media,
        models,
        sessions,
        usage,
        users,
    )
    from gateway.routers.openai import chat as openai_chat
    from gateway.routers.openai import embeddings, images, responses
    from gateway.routers.openai import models as openai_models
    from gateway.routers.ops import console, health

    for module in (
        *(openai_chat, chat, responses, embeddings, images, openai_models),
        *(generate, media, conversations, models),
        *(health, auth, console_session, console, users, usage, sessions, api_keys),
        *(admin_users, admin_usage, circuit_breakers, reload),
    ):
        app.include_router(module.router)
