import type { Translation } from "..";
import type { chat as english } from "../en/chat";

export const chat: Translation<typeof english> = {
  title: "채팅",
};
