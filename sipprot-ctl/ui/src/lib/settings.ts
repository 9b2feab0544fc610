// Settings as rows of a form: what each is, what it goes by, and what of a draft is to be sent.

import type { Json, Schema, SectionSchema, SettingSchema, Settings, Shape } from "./admin-types";

/** The host's own settings; others are of a named section, such as `endpoint[pbx1]`. */
export const HOST = "";

export interface Row {
  key: string;
  /** Without the section's name. */
  path: string;
  schema: SettingSchema;
  /** In a file, and not gone by default. */
  stated: boolean;
  place: string;
  value: Json | undefined;
  /** What holds where nothing is stated: the default, or the host's. */
  otherwise: Json | undefined;
}

export interface Group {
  section: SectionSchema;
  rows: Row[];
}

const NAMED = /^([a-z]+)\[([^\]]+)\](?:\.(.+))?$/;

/** `endpoint[pbx1].mode` in its parts; the host's keys have no kind. */
export function parts(key: string): { kind: string; name: string; path: string } {
  const [, kind = "", name = "", path = ""] = NAMED.exec(key) ?? [];
  return kind ? { kind, name, path } : { kind: "", name: "", path: key };
}

/** The named sections there are, in their order. */
export function named(settings: Settings): string[] {
  const all = settings.settings.map(({ key }) => parts(key)).filter(({ kind }) => kind);
  return [...new Set(all.map(({ kind, name }) => `${kind}[${name}]`))];
}

/** The host's key that an endpoint's goes by. */
export function hostKey(path: string, has: (key: string) => boolean): string | undefined {
  const names = [path === "sip_ports" ? "sip.ports" : path, `rules.${path}`];
  return names.find(has);
}

export function groups(schema: Schema, settings: Settings, of: string): Group[] {
  const views = new Map(settings.settings.map((view) => [view.key, view]));
  const { kind, name } = parts(of);
  const row = (it: SettingSchema): Row => {
    const { path } = parts(it.key);
    const key = kind ? `${kind}[${name}].${path}` : it.key;
    const view = views.get(key);
    const host = kind === "endpoint" ? hostKey(path, (key) => views.has(key)) : undefined;
    const { file = null, line = null } = view?.origin ?? {};
    return {
      key,
      path,
      schema: it,
      stated: file !== null,
      place: file === null ? "" : line === null ? file : `${file}:${line}`,
      value: view?.value,
      otherwise: it.default ?? (host ? views.get(host)?.value : undefined),
    };
  };
  return schema.sections
    .filter((section) => (kind ? section.name === kind : !section.named))
    .map((section) => ({
      section,
      rows: schema.settings
        .filter((it) => it.section === section.name && !(kind && parts(it.key).path === "name"))
        .map(row),
    }));
}

export const same = (a: Json | undefined, b: Json | undefined) =>
  JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** One line of a list, or a single value, as it is typed. */
export function shown(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "object" && !Array.isArray(value)) {
    // The only table there is: a peer with a rate of its own.
    return Object.values(value).map(String).join(" ");
  }
  return Array.isArray(value) ? value.map(shown).join(", ") : String(value);
}

export const lines = (value: Json | undefined) =>
  Array.isArray(value) ? value.map(shown).join("\n") : shown(value);

/** What was typed, as the API takes it. What makes no sense is sent as it is: the answer says what does. */
export function typed(shape: Shape, text: string): Json {
  const trimmed = text.trim();
  switch (shape.type) {
    case "integer":
      return /^-?\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
    case "peer": {
      const [network = "", rate] = trimmed.split(/\s+/);
      return rate === undefined ? network : { network, rate: Number(rate) };
    }
    case "list": {
      const each = shape.each ?? { type: "text" };
      const all = text.split("\n").filter((line) => line.trim());
      return all.map((line) => typed(each, line));
    }
    default:
      return trimmed;
  }
}

/** Where countries are touched: whom to ask about, with what would be in force. */
export function geoChange(of: string, rows: Map<string, Row>, drafts: Map<string, Json>) {
  const prefix = of ? `${of}.` : "";
  const key = (name: string) => `${prefix}geo.${name}`;
  if (!["mode", "countries", "scope"].some((name) => drafts.has(key(name)))) return null;
  const value = (name: string) => {
    const row = rows.get(key(name));
    return drafts.get(key(name)) ?? (drafts.has(key(name)) ? undefined : row?.value) ?? row?.otherwise;
  };
  const mode = value("mode") ?? "off";
  if (mode === "off") return null;
  const endpoint = parts(of).name;
  return {
    mode,
    countries: value("countries") ?? [],
    scope: value("scope") ?? "all",
    ...(endpoint ? { endpoint } : {}),
  };
}
