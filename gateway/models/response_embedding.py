"""Answers of the semantic cache.

The table exists only if the database has pgvector.

It is not part of the metadata that migrations are compared with, because a database without it is valid too.
"""

from __future__ import annotations

TABLE = "response_embeddings"

# Safe to repeat: if pgvector is installed later, the next start creates the table.
CREATE_TABLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') THEN
        RAISE NOTICE 'pgvector is not installed on this server: the semantic cache is unavailable';
        RETURN;
    END IF;
    BEGIN
        CREATE EXTENSION IF NOT EXISTS vector;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'not allowed to create the extension vector: the semantic cache is unavailable';
        RETURN;
    END;
    CREATE TABLE IF NOT EXISTS response_embeddings (
        id uuid CONSTRAINT pk_response_embeddings PRIMARY KEY,
        user_id uuid NOT NULL
            CONSTRAINT fk_response_embeddings_user_id_users REFERENCES users (id) ON DELETE CASCADE,
        scope bytea NOT NULL,
        question text NOT NULL,
        embedding vector(256) NOT NULL,
        answer bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        CONSTRAINT uq_response_embeddings_user_id_scope_question UNIQUE (user_id, scope, question)
    );
    CREATE INDEX IF NOT EXISTS ix_response_embeddings_expires_at ON response_embeddings (expires_at);
END $$
"""
