/** Short names for the OpenAPI schemas that the console uses. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type User = Schemas["UserView"];
export type Session = Schemas["SessionView"];
export type ApiKey = Schemas["ApiKeyView"];
export type CreatedApiKey = Schemas["CreatedApiKeyView"];
export type Usage = Schemas["UsageView"];
export type Conversation = Schemas["ConversationOut"];
export type ListedConversation = Schemas["ConversationListed"];
export type ConversationPage = Schemas["ConversationPage"];
export type ConversationWithMessages = Schemas["ConversationRead"];
export type Message = Schemas["BranchMessageOut"];
export type MessageDetails = Schemas["DetailsOut"];
export type Answer = Schemas["AnswerView"];
export type Receipt = Schemas["ReceiptView"];
export type ReceiptModelCall = Schemas["ModelCallView"];

/** A model, alias or router of `GET /api/models`; prices are US dollars per million tokens. */
export interface ModelOption {
  name: string;
  kind: "router" | "alias" | "model";
  models: string[];
  provider: string;
  capabilities: string[];
  context_window: number;
  price: { input?: string | number; output?: string | number; image?: string | number } | null;
}

export interface ToolOption {
  name: string;
  description: string;
}
