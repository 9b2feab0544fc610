import { describe, expect, test } from "vitest";
import type { Schema, SettingSchema, Settings } from "./admin-types";
import { contrast, readable, textOn } from "./colour";
import { csv } from "./csv";
import { HOST, geoChange, groups, lines, named, parts, typed, type Row } from "./settings";

const help = { en: "", fr: "" };
const setting = (key: string, section: string, rest: Partial<SettingSchema> = {}): SettingSchema => ({
  key, section, type: "integer", required: false, risky: false, restart: false, secret: false,
  help, expected: "", ...rest,
});
const schema: Schema = {
  sections: [
    { name: "rules", named: false, help },
    { name: "endpoint", named: true, help },
  ],
  settings: [
    setting("rules.block_time", "rules", { type: "duration", default: "1h" }),
    setting("endpoint[NAME].name", "endpoint", { type: "text", required: true }),
    setting("endpoint[NAME].block_time", "endpoint", { type: "duration" }),
  ],
};
const view = (key: string, value: string, file: string | null) =>
  ({ key, value, default: null, origin: { file, line: file && 3 } });
const settings = {
  version: "1",
  files: [],
  settings: [
    view("rules.block_time", "2h", "/etc/a.toml"),
    view("endpoint[pbx.1].name", "pbx.1", "/etc/a.toml"),
  ],
} as unknown as Settings;

describe("settings", () => {
  test("a key in its parts", () => {
    expect(parts("endpoint[pbx.1].geo.mode")).toEqual({ kind: "endpoint", name: "pbx.1", path: "geo.mode" });
    expect(parts("endpoint[pbx.1]")).toEqual({ kind: "endpoint", name: "pbx.1", path: "" });
    expect(parts("rules.block_time")).toEqual({ kind: "", name: "", path: "rules.block_time" });
  });

  test("the host's rows, and an endpoint's that go by the host", () => {
    const [host] = groups(schema, settings, HOST);
    expect(host?.rows[0]).toMatchObject({ stated: true, value: "2h", otherwise: "1h", place: "/etc/a.toml:3" });
    expect(named(settings)).toEqual(["endpoint[pbx.1]"]);
    const [endpoint, ...rest] = groups(schema, settings, "endpoint[pbx.1]");
    expect(rest).toEqual([]);
    expect(endpoint?.rows.map((row) => row.key)).toEqual(["endpoint[pbx.1].block_time"]);
    expect(endpoint?.rows[0]).toMatchObject({ stated: false, value: undefined, otherwise: "2h" });
  });

  test("what is typed is what the API takes", () => {
    const list = (type: string) => ({ type: "list", each: { type } });
    expect(typed({ type: "integer" }, " 12 ")).toBe(12);
    expect(typed({ type: "integer" }, "many")).toBe("many");
    expect(typed(list("ports"), "5060\n\n 5061:5062 ")).toEqual(["5060", "5061:5062"]);
    const peers = ["192.0.2.7", { network: "198.51.100.0/24", rate: 9 }];
    expect(typed(list("peer"), lines(peers))).toEqual(peers);
  });

  test("countries are looked at before they are shut out", () => {
    const row = (key: string, value: unknown) =>
      [key, { key, value, otherwise: value } as unknown as Row] as const;
    const rows = new Map([row("geo.mode", "off"), row("geo.countries", []), row("geo.scope", "all")]);
    expect(geoChange(HOST, rows, new Map())).toBeNull();
    expect(geoChange(HOST, rows, new Map([["geo.countries", ["FR"]]]))).toBeNull();
    const drafts = new Map<string, string | string[]>([["geo.mode", "deny"], ["geo.countries", ["FR"]]]);
    expect(geoChange(HOST, rows, drafts)).toEqual({ mode: "deny", countries: ["FR"], scope: "all" });
  });
});

describe("colours", () => {
  test("black on light, white on dark", () => {
    expect(textOn("#ffe400")).toBe("#000000");
    expect(textOn("#1d4ed8")).toBe("#ffffff");
  });

  test.each(["#ffff00", "#000000", "#ffffff", "#1d4ed8", "#7f7f7f"])("%s can be read", (colour) => {
    for (const ground of ["#eef1f7", "#212938"]) {
      expect(contrast(readable(colour, ground), ground)).toBeGreaterThanOrEqual(4.5);
    }
    expect(readable("#1d4ed8", "#eef1f7")).toBe("#1d4ed8");
  });
});

test("a table's cells are text", () => {
  expect(csv([["a", 1, null], ['say "no"', "x,y", "=1+1"]])).toBe('a,1,\n"say ""no""","x,y",\'=1+1\n');
});
