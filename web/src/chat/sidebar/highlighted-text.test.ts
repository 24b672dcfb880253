import { expect, test } from "vitest";
import { splitMatches } from "./highlighted-text";

test("splits at each match, ignoring case", () => {
  expect(splitMatches("Heron, heron", "HERON")).toEqual([
    { text: "Heron", isMatch: true },
    { text: ", ", isMatch: false },
    { text: "heron", isMatch: true },
  ]);
  expect(splitMatches("왜가리 한 마리", "한")).toEqual([
    { text: "왜가리 ", isMatch: false },
    { text: "한", isMatch: true },
    { text: " 마리", isMatch: false },
  ]);
});

test("does not split without a query or a match", () => {
  expect(splitMatches("heron", "")).toEqual([{ text: "heron", isMatch: false }]);
  expect(splitMatches("heron", "whale")).toEqual([{ text: "heron", isMatch: false }]);
});

test("does not split if lower case changes the length of the text", () => {
  expect(splitMatches("İstanbul", "stan")).toEqual([{ text: "İstanbul", isMatch: false }]);
});
