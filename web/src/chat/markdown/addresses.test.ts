import { describe, expect, it } from "vitest";
import { addressToRead, deceives, gatewayImage, safeAddress } from "./addresses";

describe("an address", () => {
  it.each([
    "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>", "vbscript:x",
    "file:///etc/passwd", "blob:https://example.org/1", "//example.org", "/api/user/me", "#x", "", "https://",
  ])("that is not the web's or mail's leads nowhere: %j", (href) => expect(safeAddress(href)).toBeNull());

  it.each(["https://example.org/a?b#c", "http://127.0.0.1:8000", "mailto:ada@example.org"])("%s leads there", (href) =>
    expect(safeAddress(href)?.href).toContain(href),
  );

  it("deceives where its words name another host", () => {
    expect(deceives("example.org", new URL("https://evil.example/x"))).toBe(true);
    expect(deceives("https://www.example.org/login", new URL("https://example.org"))).toBe(false);
    expect(deceives("read this", new URL("https://evil.example"))).toBe(false);
  });

  it("to be read shows what hides in it", () => {
    expect(addressToRead("https://a\u202eb")).toBe("https://a⟨U+202E⟩b");
    expect(addressToRead(`https://${"a".repeat(500)}`).length).toBe(201);
  });

  it("of a picture is the gateway's own only by its very path", () => {
    const id = "01a1f842-0000-7000-8000-000000000000";
    expect(gatewayImage(`/api/v1/media/images/${id}`, "https://here/gw/")).toBe(id);
    expect(gatewayImage(`https://here/gw/api/v1/media/images/${id}`, "https://here/gw/")).toBe(id);
    expect(gatewayImage(`https://else/api/v1/media/images/${id}`, "https://here/")).toBeNull();
    expect(gatewayImage("/api/v1/media/images/../../user/me", "https://here/")).toBeNull();
  });
}); // biome-ignore format: a table of addresses
