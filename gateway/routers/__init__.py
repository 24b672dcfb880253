"""HTTP routes: parse with a dialect, call one service, encode the result.

No business logic.
"""

from __future__ import annotations

from fastapi import FastAPI


def include_all(app: FastAPI) -> None:
    """Include every router; a new one is one line here.

    Routes match in order, so the busiest come first.
    """
    from gateway.routers.admin import circuit_breakers, reload
    from gateway.routers.admin import usage as admin_usage
    from gateway.routers.admin import users as admin
    from gateway.routers.api import (
        api_keys,
        auth,
        chat,
        console_session,
        conversations,
        generate,
        media,
        sessions,
        usage,
        users,
    )
    from gateway.routers.api import models as catalog
    from gateway.routers.openai import chat as openai_compat
    from gateway.routers.openai import embeddings, responses
    from gateway.routers.ops import console, health

    for module in (
        *(
            openai_compat,
            chat,
            responses,
            embeddings,
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
        *(admin, admin_usage, circuit_breakers, reload),
    ):
        app.include_router(module.router)
