import type { Translation } from "..";
import type { account as english } from "../en/account";

export const account: Translation<typeof english> = {
  title: "계정",
};
