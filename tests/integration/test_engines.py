"""The engines that all integration tests use."""

from __future__ import annotations

import redis.asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


async def test_database_is_postgresql_18_with_pgvector(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        version = (await connection.execute(text("SHOW server_version_num"))).scalar_one()
        vector = (
            await connection.execute(text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"))
        ).scalar()
    await engine.dispose()
    assert int(version) >= 180000
    assert vector == 1


async def test_cache_is_valkey_and_starts_empty_on_request(clean_redis: str) -> None:
    client = redis.asyncio.Redis.from_url(clean_redis)
    info = await client.info("server")
    assert info["server_name"] == "valkey"
    assert await client.dbsize() == 0
    await client.aclose()
