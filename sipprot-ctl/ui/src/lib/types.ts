// The API's answers, as far as pages show them. `GET /api/v1/openapi.json` says all of them.

export type Right = "read" | "lists" | "admin";
export type ListName = "allow" | "deny";
export type BlockKind = "dynamic" | "containment" | "quarantine";

export interface Session {
  name: string;
  right: Right;
  address: string | null;
  csrf_token: string | null;
  ends_at: number | null;
}

export interface Done {
  done: boolean;
  message: string;
}

export interface Fault {
  code: string;
  message: string;
  field?: string;
}

export interface Pending {
  what: string;
  by: string;
  until: number;
  ended: boolean;
}

export interface Status {
  version: string;
  protected: boolean;
  problems: string[];
  mode: string;
  started_at: number;
  interfaces: { name: string; attached: boolean; xdp: string | null }[];
  endpoints: { name: string; addresses: string[]; mode: string }[];
  lists: {
    allow: number;
    deny: number;
    dynamic: number;
    contained: number;
    networks_contained: number;
    quarantined: number;
    trust: number;
  };
  events: { received: number; suppressed: number; lost: number; lag_seconds: number };
  geo: { available: boolean; name: string | null; drops: Record<string, number> };
  pending: Pending | null;
}

export interface Entry {
  ip: string;
  note: string;
  time: number;
  added_by: string;
  geo_data: { country_code: string; country_name: string } | null;
  endpoint: string | null;
  scope: string;
  origin: string;
  expires_at: number | null;
  version: string;
}

export interface Packet {
  at_ms: number;
  port: number;
  method: string | null;
  status: number | null;
  account: string | null;
  user_agent: string | null;
  proven_by: string;
  line: string | null;
}

export interface Evidence {
  count: number;
  limit: number | null;
  window_s: number | null;
  first: Packet;
  last: Packet;
  accounts: string[];
}

export interface Block {
  source: string;
  kind: BlockKind;
  port: number | null;
  endpoint: string | null;
  victim: string | null;
  scope: string;
  rule: string;
  reason: string;
  proven: boolean;
  started_at: number;
  expires_at: number;
  duration_s: number;
  renewals: number;
  reaction_us: number | null;
  user_agent: string | null;
  account: string | null;
  country: string | null;
  evidence: Evidence | null;
  refused: boolean;
}

export interface Trust {
  source: string;
  kind: string;
  accounts: string[];
  since: number;
  last_seen: number;
  peak: number;
  ceiling: number;
  country: string | null;
}

export interface Peer {
  network: string;
  rate: number | null;
  configured_in: string | null;
  note: string;
  added_at: number | null;
  added_by: string | null;
}

export interface ReportRow {
  attacker: string;
  country: string | null;
  method: string;
  victim: string | null;
  endpoint: string | null;
  blocks: number;
  containments: number;
  drops: number;
  user_agent: string | null;
  last: number;
}

export interface Report {
  date: string;
  rows: ReportRow[];
  total_rows: number;
  total_blocks: number;
  total_containments: number;
  total_drops: number;
  alerts: { at: number; source: string; kind: string; endpoint: string | null; what: string }[];
}

export type Verdict =
  | "allowed"
  | "denied"
  | "blocked"
  | "contained"
  | "held"
  | "country"
  | "quarantined"
  | "trusted"
  | "nothing";

export interface Why {
  address: string;
  source: string;
  verdict: Verdict;
  sentence: string;
  ends_at: number | null;
  blocks: Block[];
  escalation: Block | null;
  entries: (Entry & { list: ListName })[];
  trust: Trust | null;
  peers: Peer[];
  never_blocked: boolean;
  windows: { rule: string; counts: string; count: number; proven: number; limit: number; window_s: number }[];
  failures: Evidence | null;
  drops: Record<string, number>;
  blocks_counted: number;
  block_threshold: number;
  country: string | null;
  observed: boolean;
  alerts: Report["alerts"];
  timeline: { at: number; kind: string; what: string }[];
  timeline_cut: boolean;
}

export interface Check {
  counts: { sip: number; register: number; credentialed: number; dropped: number };
  accounts: string[];
  user_agent: string | null;
}

export interface SheetAnswer {
  done: boolean;
  message: string;
  rows: number;
  new: number;
  changed: number;
  unchanged: number;
  duplicate: number;
  covered: number;
  invalid: number;
  faults: { line: number; field: string; message: string }[];
  cuts_off: string[];
}
