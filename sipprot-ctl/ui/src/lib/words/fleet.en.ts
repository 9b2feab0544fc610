// The words of the hosts.

const plural = new Intl.PluralRules("en");
const of = (count: number, one: string, other: string) =>
  plural.select(count) === "one" ? one : other;

export const fleetEn = {
  hosts: "Hosts",
  thisHost: "This host",
  noFleet: "It belongs to no fleet. In a fleet, what one host proves, all hosts know:",
  fleetGuide: "how to set one up",
  inFleet: "In the fleet as",
  channel: "Channel",
  connected: "connected",
  disconnected: "not connected: reports wait on the disk",
  revision: "List",
  revisionOf: (revision: number, entries: string) => `revision ${revision}, ${entries} listed`,
  behind: (count: number) => `${count} behind`,
  spared: (count: number) => `${count} spared`,
  waitingReports: "Reports that wait",
  fleetHealth: {
    protected: "Protected",
    unprotected: "Not protected",
    silent: "Silent",
    unheard: "Never heard of",
    revoked: "Revoked",
  } as Record<string, string>,
  silentHosts: (count: number, names: string) =>
    `${count} ${of(count, "host is", "hosts are")} silent: ${names}`,
  health: "Health",
  attacks: "Attacks",
  heard: "Heard",
  decision: "Decision",
  decisions: "Decisions",
  fullest: "Fullest map",
  reported: "Reported attackers",
  spreadBy: {
    webmaster: "Nothing is spread before somebody approves it.",
    quorum: "What enough hosts proved is spread by itself.",
  } as Record<string, string>,
  fleetStates: { pending: "Pending", listed: "Listed", rejected: "Rejected", recalled: "Recalled" },
  noReports: { pending: "Nothing waits for you.", other: "None." },
  proof: "Evidence",
  proofs: (proven: number, hosts: number) => `proven by ${proven} of ${hosts} ${of(hosts, "host", "hosts")}`,
  approve: "Approve",
  reject: "Reject",
  recall: "Recall",
  protect: "Protect",
  judged: {
    approve: (source: string) => `${source} is spread to all hosts.`,
    reject: (source: string) => `${source} is rejected.`,
    recall: (source: string) => `${source} is taken back from all hosts.`,
    protect: (source: string) => `${source} is protected: it is never spread.`,
  },
  byWhom: (name: string) => `by ${name}`,
  manyOfNetwork: "Networks of several attackers",
  manyAtAccount: "Accounts that many attack",
  sourcesOf: (count: number) => `${count} ${of(count, "source", "sources")}`,
  notTaken: "Not taken from hosts",
  ofAll: (shown: number, total: number) => `${shown} of ${total}`,
};

export type FleetWords = typeof fleetEn;
