import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import en from "./en";
import { admin as enAdmin } from "./en/admin";
import ko from "./ko";
import { admin as koAdmin } from "./ko/admin";

type Translations = { [key: string]: string | Translations };

function flatten(translations: Translations, path = ""): Map<string, string> {
  return new Map(
    Object.entries(translations).flatMap(([key, value]) =>
      typeof value === "string" ? [[path + key, value] as const] : [...flatten(value, `${path}${key}.`)],
    ),
  );
}

const english = flatten({ ...en, admin: enAdmin });
const korean = flatten({ ...ko, admin: koAdmin });
const placeholders = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]).sort();

const source = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => /\.tsx?$/.test(name) && !/^i18n.(en|ko)/.test(name))
  .map((name) => readFileSync(`src/${name}`, "utf8"))
  .join("\n");

describe("translations", () => {
  it("have the same keys in both languages, except for singulars in Korean", () => {
    const expected = [...english.keys()].filter((key) => !key.endsWith("_one"));
    expect([...korean.keys()].sort()).toEqual(expected.sort());
  });

  it("are not empty and have the same placeholders in both languages", () => {
    for (const [key, text] of korean) {
      expect(text.trim(), key).not.toBe("");
      expect(placeholders(text), key).toEqual(placeholders(english.get(key) ?? ""));
    }
  });

  it("are called with a value for each placeholder", () => {
    const missing = [...english].flatMap(([key, text]) =>
      callArguments(key.replace(/_(one|other)$/, "")).flatMap((options) =>
        placeholders(text)
          .filter((name) => !new RegExp(`[{,]\\s*${name}\\s*[:,}]`).test(options))
          .map((name) => `${key}: ${name}`),
      ),
    );
    expect(missing).toEqual([]);
  });

  it("are all used", () => {
    const unused = [...english.keys()]
      .map((key) => key.replace(/_(one|other)$/, ""))
      .filter((key) => !source.includes(`"${key}"`) && !isUsedByPattern(source, key));
    expect(unused).toEqual([]);
  });
});

/**
 * Whether a key is used through its prefix: `t(`chat.groups.${name}`)` uses all keys below `chat.groups`,
 * `codeLabel("tools", …)` all below `codes.tools`, and `t("common.themes")` all below `common.themes`.
 */
function isUsedByPattern(source: string, key: string): boolean {
  const parts = key.split(".");
  if (parts[0] === "codes") return source.includes(`codeLabel("${parts[1]}"`);
  return parts.some((_, count) => {
    const prefix = parts.slice(0, count + 1).join(".");
    const isInner = count > 0 && count < parts.length - 1;
    return isInner && (source.includes(`\`${prefix}.$`) || source.includes(`"${prefix}"`));
  });
}

/** The text after each use of a key, which starts with the options of the call. */
function callArguments(key: string): string[] {
  return source
    .split(`"${key}"`)
    .slice(1)
    .map((rest) => rest.slice(0, 260));
}
