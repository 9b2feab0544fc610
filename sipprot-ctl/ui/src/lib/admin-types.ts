// The answers that settings, audit, users and health are made of.

import type { Right } from "./types";

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

export interface Shape {
  type: string;
  min?: number;
  max?: number;
  choices?: string[];
  each?: Shape;
}

export interface SettingSchema extends Shape {
  /** Of a named section `endpoint[NAME].mode`. */
  key: string;
  section: string;
  unit?: string;
  default?: Json;
  required: boolean;
  risky: boolean;
  restart: boolean;
  secret: boolean;
  help: { en: string; fr: string };
  expected: string;
}

export interface SectionSchema {
  name: string;
  named: boolean;
  help: { en: string; fr: string };
}

export interface Schema {
  sections: SectionSchema[];
  settings: SettingSchema[];
}

export interface SettingView {
  key: string;
  value: Json;
  default: Json;
  origin: { file: string | null; line: number | null };
}

export interface Settings {
  version: string;
  files: string[];
  settings: SettingView[];
}

export interface SettingsChanged {
  done: boolean;
  message: string;
  version: string;
  changes: { key: string; before: Json | null; after: Json | null }[];
  files: string[];
}

export interface Affected {
  source: string;
  country: string | null;
  who: string;
  endpoints: string[];
  cut_off: boolean;
  allowed_by: string | null;
}

export interface GeoPreview {
  mode: string;
  countries: string[];
  missing: string[];
  database: string;
  age_days: number | null;
  networks: { v4: number; v6: number; v4_addresses: number; v6_sites: number };
  live: boolean;
  phones: Affected[] | null;
  peers: Affected[] | null;
  entries: Affected[] | null;
}

export interface LearnStatus {
  state: "never" | "learning" | "ready" | "stopped" | "accepted";
  started_at: number | null;
  until: number | null;
  ended_at: number | null;
  started_by: string | null;
  sources: number;
  customers: number;
}

export interface LearnProposal extends LearnStatus {
  preliminary: boolean;
  mode: { now: string; proposed: string } | null;
  peers: {
    network: string;
    kind: string;
    accounts: number;
    calls: number;
    peak: number;
    advised: boolean;
    why: string;
  }[];
  limits: { key: string; now: number; proposed: number; reached: number; source: string; why: string }[];
  would: {
    source: string;
    what: string;
    rule: string;
    customer: boolean;
    suspect: boolean;
    count: number;
    last: number;
    endpoint: string | null;
    account: string | null;
  }[];
}

export interface Accepted {
  done: boolean;
  changes: string[];
  undo: string[];
}

export interface AuditRecord {
  number: number;
  at: number;
  who: string;
  from: string;
  what: string;
  target: string;
  changes: { thing: string; before: Json; after: Json }[];
  more: number;
  undoes: number | null;
  undone_by: number | null;
  final_because: string | null;
}

export type Role = "admin" | "viewer";

export interface User {
  name: string;
  role: Role;
  created_at: number;
  created_by: string;
  last_login_at: number | null;
  sessions: number;
}

export interface Token {
  name: string;
  scope: Right;
  created_at: number;
  created_by: string;
  expires_at: number | null;
  last_used_at: number | null;
}

export interface Finding {
  check: string;
  state: "ok" | "unknown" | "warning" | "problem";
  what: string;
  remedy: string | null;
}

export interface Checkup {
  findings: Finding[];
  warnings: number;
  problems: number;
}

export interface Service {
  unit: string | null;
  started_at: number;
}

export interface Welcome {
  name: string;
  colour: string | null;
  ground: string | null;
  logo: string | null;
  has_users: boolean;
}

/** What the status says beside what the dashboard shows of it. */
export interface Health {
  version: string;
  mode: string;
  protected: boolean;
  started_at: number;
  interfaces: { name: string; attached: boolean; xdp: string | null }[];
  endpoints: { name: string; addresses: string[]; mode: string }[];
  maps: { map: string; entries: number; capacity: number }[];
  store: { healthy: boolean; notes: string[] };
  geo: {
    available: boolean;
    name: string | null;
    databases: string[];
    built_at: number | null;
    age_days: number | null;
    old: boolean;
    problems: string[];
  };
  logs: { name: string; kind: string; lines: number; matched: number; error: string | null }[];
  lists: { allow: number };
  config_files: string[];
}

export type FleetState = "pending" | "listed" | "rejected" | "recalled";

export interface Fleet {
  role: "host" | "hub" | "none";
  /** Whether the hub answers here, too. */
  hub: boolean;
  connected: boolean;
  revision: number;
  entries: number;
  spared: number;
  name: string | null;
  mode: string | null;
  waiting: number;
  spread: string | null;
  sources: Partial<Record<FleetState, number>>;
  hosts: number;
  silent: string[];
  protected: string[];
  refused: Record<string, number>;
  last_refused: { at: number; host: string; why: string; source: string | null }[];
  problem: string | null;
}

export interface FleetHost {
  name: string;
  health: string;
  problems: string[];
  version: string;
  mode: string;
  interfaces: [name: string, xdp: string][];
  attacks: number;
  lag_seconds: number;
  fullest_map: string | null;
  fullest_percent: number | null;
  revision: number;
  behind: number;
  spared: number;
  waiting: number;
  heard_at: number | null;
}

export interface FleetSource {
  source: string;
  state: FleetState;
  rule: string;
  proven: boolean;
  hosts: { host: string; grade: string; count: number }[];
  count: number;
  first: number;
  last: number;
  user_agent: string | null;
  country: string | null;
  /** Of the network, where a database tells. */
  owner?: string | null;
  account: string | null;
  until: number | null;
  judged_by: string | null;
  note: string | null;
}

export interface FleetDecision {
  number: number;
  at: number;
  by: string;
  what: string;
  network: string | null;
  sources: { source: string; before: FleetState | null; after: FleetState | null }[];
  note: string;
}

export interface FleetSources {
  sources: FleetSource[];
  total: number;
  networks: { network: string; sources: number }[];
  accounts: { account: string; sources: number; hosts: number }[];
}
