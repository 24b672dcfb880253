import { expect, test } from "vitest";
import { pieces } from "./marked";

test("each place with the words is a piece of its own, in any case", () => {
  expect(pieces("Heron, heron", "HERON")).toEqual([
    { text: "Heron", hit: true },
    { text: ", ", hit: false },
    { text: "heron", hit: true },
  ]);
  expect(pieces("왜가리 한 마리", "한")).toEqual([
    { text: "왜가리 ", hit: false },
    { text: "한", hit: true },
    { text: " 마리", hit: false },
  ]);
});

test("without words, and where they do not stand, the text is whole", () => {
  expect(pieces("heron", "")).toEqual([{ text: "heron", hit: false }]);
  expect(pieces("heron", "whale")).toEqual([{ text: "heron", hit: false }]);
});

test("letters that change their length with their case leave the text whole", () => {
  expect(pieces("İstanbul", "stan")).toEqual([{ text: "İstanbul", hit: false }]);
});
