// The changes that pages offer. Each is taken back by its record in the audit log.

import { ask, query } from "./api";
import { change, changeAll } from "./state.svelte";
import type { Block, Entry, ListName, Peer } from "./types";
import { words } from "./words";

/** How the API names the owner of a list that is no endpoint's. */
const HOST = "host";

export interface NewEntry {
  network: string;
  note: string;
  scope?: string | undefined;
  expires_in_s?: number | undefined;
  endpoint?: string | undefined;
}

export const addEntry = (list: ListName, entry: NewEntry) =>
  change(
    (confirmed) => ask("POST", `/lists/${list}`, { body: entry, confirmed }),
    words().addedOne(entry.network),
  );

export function editNote(list: ListName, { ip: network, endpoint, version }: Entry, note: string) {
  const body = { network, endpoint, note, version };
  return change(() => ask("PATCH", `/lists/${list}`, { body }), words().editedOne(network));
}

/** Each endpoint's list is one of its own, and so is the host's. */
export function removeEntries(list: ListName, entries: Entry[]) {
  const owners = [...new Set(entries.map((entry) => entry.endpoint))];
  const steps = owners.map((owner) => {
    const networks = entries.filter(({ endpoint }) => endpoint === owner).map(({ ip }) => ip);
    const body = { networks, endpoint: owner ?? HOST };
    return (confirmed: boolean) => ask("POST", `/lists/${list}/delete`, { body, confirmed });
  });
  return changeAll(steps, words().removedSome(entries.length, entries[0]?.ip ?? ""));
}

export const block = (address: string, duration_s: number, reason: string) =>
  change(
    (confirmed) => ask("POST", "/blocks", { body: { address, duration_s, reason }, confirmed }),
    words().blockedOne(address),
  );

/** The address of a source, which may be a /64. */
export const addressOf = (source: string) => source.split("/", 1)[0] ?? source;

/** Of each source once: all that stands against it is lifted together. */
const addresses = (blocks: Block[]) => [...new Set(blocks.map(({ source }) => addressOf(source)))];

export const unblock = (blocks: Block[]) =>
  changeAll(
    addresses(blocks).map((it) => () => ask("DELETE", `/blocks/${encodeURIComponent(it)}`)),
    words().unblockedSome(blocks.length, blocks[0]?.source ?? ""),
  );

export const denyBlocks = (blocks: Block[]) =>
  change(
    (confirmed) => ask("POST", "/blocks/deny", { body: { addresses: addresses(blocks) }, confirmed }),
    words().deniedSome(blocks.length, blocks[0]?.source ?? ""),
  );

export const revokeTrust = (source: string) =>
  change(
    () => ask("DELETE", `/trust/${encodeURIComponent(addressOf(source))}`),
    words().revoked(source),
  );

export const addPeer = (peer: { network: string; note: string; rate?: number | undefined }) =>
  change(() => ask("POST", "/peers", { body: peer }), words().addedOne(peer.network));

export const removePeer = ({ network }: Peer) =>
  change(() => ask("DELETE", `/peers${query({ network })}`), words().removedSome(1, network));

export const changeSettings = (settings: Record<string, unknown>, said: string) =>
  change((confirmed) => ask("PATCH", "/settings", { body: { settings }, confirmed }), said);
