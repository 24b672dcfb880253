/** The entry point of the chat's chunk. */
import { Shell } from "../layout/shell";
import { Shortcuts } from "./shortcuts";
import { Sidebar } from "./sidebar/sidebar";

export { ChatPage } from "./page";

export function ChatLayout() {
  return (
    <>
      <Shell sidebar={<Sidebar />} />
      <Shortcuts />
    </>
  );
}
