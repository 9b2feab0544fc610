import { describe, expect, test } from "vitest";
import { asked, listing, nextSort, pages } from "./listing";

describe("a list's page", () => {
  test("is what the address bar says, within reason", () => {
    const now = listing({ q: "a", sort: "-time", page: "3", size: "100" });
    expect(asked(now)).toEqual({ search: "a", country: "", kind: "", endpoint: "", sort: "time", reverse: true, offset: 200, limit: 100 });
    expect(listing({ page: "-1", size: "7" })).toMatchObject({ page: 1, size: 50 });
    expect(listing({ page: "x" }).page).toBe(1);
  });

  test("a column is sorted up, down, and not", () => {
    expect(nextSort(listing({}), "time")).toBe("time");
    expect(nextSort(listing({ sort: "time" }), "time")).toBe("-time");
    expect(nextSort(listing({ sort: "-time" }), "time")).toBeUndefined();
    expect(nextSort(listing({ sort: "-time" }), "note")).toBe("note");
  });

  test("there is always a first page", () => {
    expect([0, 1, 50, 51].map((total) => pages(total, 50))).toEqual([1, 1, 1, 2]);
  });
});
