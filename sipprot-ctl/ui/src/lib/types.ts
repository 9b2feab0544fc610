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
  /** Its record in the audit log, by which it can be undone. */
  audit?: number;
}

export interface Fault {
  code: string;
  message: string;
  field?: string;
  /** Refused for want of a consent alone. */
  consent?: boolean;
}

export interface Pending {
  what: string;
  by: string;
  until: number;
  left_s: number;
  ended: boolean;
}

export interface Status {
  version: string;
  protected: boolean;
  problems: string[];
  mode: string;
  started_at: number;
  interfaces: { name: string; attached: boolean; xdp: string | null }[];
  endpoints: Endpoint[];
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
  geo: { available: boolean; name: string | null; policies: GeoPolicy[] };
  pending: Pending | null;
  /** How long a change would wait for its confirmation. */
  confirm_within_s: number;
}

export interface Endpoint {
  name: string;
  addresses: string[];
  mode: string;
  guards: Record<string, string>;
  settings: { key: string; value: string; origin: "endpoint" | "host" }[];
}

export type GeoMode = "off" | "deny" | "allow";

export interface GeoPolicy {
  /** An endpoint, or `host`. */
  name: string;
  mode: GeoMode;
  scope: string;
  countries: string[];
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
  mode: GeoMode;
  countries: string[];
  missing: string[];
  database: string;
  networks: { v4: number; v6: number; v4_addresses: number; v6_sites: number };
  phones: Affected[] | null;
  peers: Affected[] | null;
  entries: Affected[] | null;
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
  endpoints: string[];
}

export interface Peer {
  network: string;
  rate: number | null;
  configured_in: string | null;
  note: string;
  added_at: number | null;
  added_by: string | null;
}

export interface Alert {
  at: number;
  source: string;
  kind: string;
  endpoint: string | null;
  what: string;
  accounts: string[];
}

/** Of an endpoint, or a method. */
export interface Sum {
  name: string | null;
  attackers: number;
  blocks: number;
  containments: number;
  drops: number;
}

export interface CountrySum extends Omit<Sum, "name"> {
  country: string | null;
}

export interface Series {
  kind: string;
  /** That began in each step. */
  attacks: number[];
}

export interface Summary {
  host: string;
  date: string;
  until: string;
  kept_since: string | null;
  start: number;
  step_s: number;
  series: Series[];
  attackers: number;
  blocks: number;
  containments: number;
  drops: number;
  observed: number;
  countries: CountrySum[];
  endpoints: Sum[];
  methods: Sum[];
  alerts: Alert[];
}

export interface LiveEvent {
  id: number;
  at: number;
  kind: string;
  source: string | null;
  endpoint: string | null;
  what: string;
  block: Block | null;
  alert: Alert | null;
  lost: number | null;
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
  alerts: Alert[];
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
