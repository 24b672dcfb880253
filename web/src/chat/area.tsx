/** Everything of the chat: one chunk. */
import { Shell } from "../layout/shell";
import { Shortcuts } from "./shortcuts";
import { ChatSide } from "./side";

export { default as ChatPage } from "./page";

export function ChatFrame() {
  return (
    <>
      <Shell side={<ChatSide />} />
      <Shortcuts />
    </>
  );
}
