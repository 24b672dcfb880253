import { describe, expect, it } from "vitest";
import { displayUrl, gatewayImageId, isMisleading, safeUrl } from "./links";

describe("safeUrl", () => {
  it.each([
    "javascript:alert(1)",
    " JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://example.org/1",
    "//example.org",
    "/api/user/me",
    "#x",
    "",
    "https://",
  ])("rejects %j", (href) => expect(safeUrl(href)).toBeNull());

  it.each(["https://example.org/a?b#c", "http://127.0.0.1:8000", "mailto:ada@example.org"])(
    "accepts %s",
    (href) => expect(safeUrl(href)?.href).toContain(href),
  );
});

describe("isMisleading", () => {
  it("is true if the text names another host", () => {
    expect(isMisleading("example.org", new URL("https://evil.example/x"))).toBe(true);
    expect(isMisleading("https://www.example.org/login", new URL("https://example.org"))).toBe(false);
    expect(isMisleading("read this", new URL("https://evil.example"))).toBe(false);
  });
});

describe("displayUrl", () => {
  it("escapes invisible characters and truncates", () => {
    expect(displayUrl("https://a\u202eb")).toBe("https://a⟨U+202E⟩b");
    expect(displayUrl(`https://${"a".repeat(500)}`).length).toBe(201);
  });
});

describe("gatewayImageId", () => {
  it("accepts the exact path or URL of an image of this gateway only", () => {
    const id = "01a1f842-0000-7000-8000-000000000000";
    expect(gatewayImageId(`/api/v1/media/images/${id}`, "https://here/gw/")).toBe(id);
    expect(gatewayImageId(`https://here/gw/api/v1/media/images/${id}`, "https://here/gw/")).toBe(id);
    expect(gatewayImageId(`https://else/api/v1/media/images/${id}`, "https://here/")).toBeNull();
    expect(gatewayImageId("/api/v1/media/images/../../user/me", "https://here/")).toBeNull();
  });
});
