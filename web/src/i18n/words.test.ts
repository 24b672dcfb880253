import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import en from "./en";
import { admin as enAdmin } from "./en/admin";
import ko from "./ko";
import { admin as koAdmin } from "./ko/admin";

type Words = { [key: string]: string | Words };

function flat(words: Words, path = ""): Map<string, string> {
  return new Map(
    Object.entries(words).flatMap(([key, value]) =>
      typeof value === "string" ? [[path + key, value] as const] : [...flat(value, `${path}${key}.`)],
    ),
  );
}

const english = flat({ ...en, admin: enAdmin });
const korean = flat({ ...ko, admin: koAdmin });
const blanks = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((found) => found[1]).sort();

describe("the words", () => {
  it("are all there in Korean, which has no singular, and no others", () => {
    const wanted = [...english.keys()].filter((key) => !key.endsWith("_one"));
    expect([...korean.keys()].sort()).toEqual(wanted.sort());
  });

  it("are not empty, and have the same blanks in both languages", () => {
    for (const [key, text] of korean) {
      expect(text.trim(), key).not.toBe("");
      expect(blanks(text), key).toEqual(blanks(english.get(key) ?? ""));
    }
  });

  it("are each used somewhere", () => {
    const source = readdirSync("src", { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n"))
      .map((name) => readFileSync(`src/${name}`, "utf8"))
      .join("\n");
    const unused = [...english.keys()]
      .map((key) => key.replace(/_(one|other)$/, ""))
      .filter((key) => !source.includes(`"${key}"`) && !usedByPattern(source, key));
    expect(unused).toEqual([]);
  });
});

/** `t(`chat.steps.${step}`)` uses all of `chat.steps`, and `sayName("tools", …)` all of `codes.tools`; a word read as an object uses all below it. */
function usedByPattern(source: string, key: string): boolean {
  const parts = key.split(".");
  if (parts[0] === "codes") return source.includes(`sayName("${parts[1]}"`);
  return parts.some((_, count) => {
    const start = parts.slice(0, count + 1).join(".");
    const within = count > 0 && count < parts.length - 1;
    return within && (source.includes(`\`${start}.$`) || source.includes(`"${start}"`));
  });
}
