import type { Translation } from "..";
import type { admin as english } from "../en/admin";

export const admin: Translation<typeof english> = {
  title: "관리",
};
