"""The services of one configuration, grouped like the packages of `services`."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.services.accounts.api_keys import ApiKeyService
from gateway.services.accounts.auth import AuthService
from gateway.services.accounts.authenticator import Authenticator
from gateway.services.accounts.data_export import AccountExporter
from gateway.services.accounts.deletion import AccountDeletionService
from gateway.services.accounts.environment_keys import EnvironmentKeys
from gateway.services.accounts.password_reset import PasswordResetService
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.sessions import SessionService
from gateway.services.accounts.throttle import AccountThrottle
from gateway.services.accounts.users import UserService
from gateway.services.chat.conversations import ConversationService
from gateway.services.chat.service import ChatService
from gateway.services.chat.stored_responses import StoredResponseService
from gateway.services.generation.embeddings import EmbeddingService
from gateway.services.generation.image_library import ImageLibrary
from gateway.services.generation.images import ImageGenerationService
from gateway.services.idempotency.client_retries import ClientRetryJoiner
from gateway.services.idempotency.service import IdempotencyService
from gateway.services.operations.admin import AdminService
from gateway.services.operations.circuit_breakers import CircuitBreakerService
from gateway.services.operations.model_catalog import ModelCatalogService
from gateway.services.roles.generate import GenerateService
from gateway.services.roles.registry import RoleRegistry
from gateway.services.streams.partial_answers import PartialAnswerWriter
from gateway.services.streams.resumption import StreamResumption
from gateway.services.usage.csv_export import UsageCsvExporter
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.reports import UsageReports


@dataclass(frozen=True, slots=True)
class AccountServices:
    """`services.accounts`."""

    authenticator: Authenticator
    environment_keys: EnvironmentKeys
    revocation: RevocationService
    auth: AuthService
    password_resets: PasswordResetService
    sessions: SessionService
    throttle: AccountThrottle
    users: UserService
    api_keys: ApiKeyService
    data_export: AccountExporter
    deletion: AccountDeletionService


@dataclass(frozen=True, slots=True)
class ChatServices:
    """`services.chat`."""

    service: ChatService
    conversations: ConversationService
    stored_responses: StoredResponseService


@dataclass(frozen=True, slots=True)
class StreamServices:
    """`services.streams`."""

    partial_answers: PartialAnswerWriter
    resumption: StreamResumption


@dataclass(frozen=True, slots=True)
class IdempotencyServices:
    """`services.idempotency`."""

    service: IdempotencyService
    client_retries: ClientRetryJoiner


@dataclass(frozen=True, slots=True)
class GenerationServices:
    """`services.generation`."""

    embeddings: EmbeddingService
    images: ImageGenerationService
    image_library: ImageLibrary


@dataclass(frozen=True, slots=True)
class RoleServices:
    """`services.roles`."""

    registry: RoleRegistry
    generate: GenerateService


@dataclass(frozen=True, slots=True)
class UsageServices:
    """`services.usage`."""

    ledger: Ledger
    reports: UsageReports
    csv_export: UsageCsvExporter


@dataclass(frozen=True, slots=True)
class OperationServices:
    """`services.operations`."""

    admin: AdminService
    circuit_breakers: CircuitBreakerService
    model_catalog: ModelCatalogService
