import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

/** A folder may import itself and the folders of earlier rows, but not other folders of its own row. */
const LAYERS = [["lib"], ["i18n"], ["api"], ["ui"], ["session"], ["layout"], ["account", "admin", "chat"]];

const layerOf = (folder: string) => LAYERS.findIndex((folders) => folders.includes(folder));

function importedFolders(file: string): string[] {
  const specifiers = [
    ...readFileSync(`src/${file}`, "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g),
  ];
  return specifiers.map(([, specifier]) => join(dirname(file), specifier ?? "").split("/")[0] ?? "");
}

test("folders import lower layers only", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter(
    (file) => /\.tsx?$/.test(file) && file.includes("/"),
  );
  const violations = files.flatMap((file) => {
    const folder = file.split("/")[0] ?? "";
    return importedFolders(file)
      .filter((imported) => imported !== folder && layerOf(imported) >= layerOf(folder))
      .map((imported) => `${file} imports ${imported}`);
  });
  expect(violations).toEqual([]);
});
