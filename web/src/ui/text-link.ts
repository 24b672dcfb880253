/** Classes of a link within or below text. */
export const TEXT_LINK_CLASS = "font-medium text-accent underline underline-offset-2";
