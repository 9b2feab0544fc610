// The changes that pages offer, each with what takes it back.

import { ask, query } from "./api";
import { change } from "./state.svelte";
import type { Block, Entry, ListName, Peer } from "./types";
import { words } from "./words";

const now = () => Math.floor(Date.now() / 1000);
const left = (until: number | null) => (until === null ? undefined : Math.max(1, until - now()));

export interface NewEntry {
  network: string;
  note: string;
  scope?: string | undefined;
  expires_in_s?: number | undefined;
  endpoint?: string | undefined;
}

const put = (list: ListName, body: NewEntry, confirmed = false) =>
  ask("POST", `/lists/${list}`, { body, confirmed });

const take = (list: ListName, networks: string[], endpoint: string | null, confirmed = false) =>
  ask("POST", `/lists/${list}/delete`, { body: { networks, endpoint }, confirmed });

const asNew = ({ ip, note, scope, expires_at, endpoint }: Entry): NewEntry => ({
  network: ip,
  note,
  scope,
  expires_in_s: left(expires_at),
  endpoint: endpoint ?? undefined,
});

export const addEntry = (list: ListName, entry: NewEntry) =>
  change(
    (confirmed) => put(list, entry, confirmed),
    words().addedOne(entry.network),
    () => take(list, [entry.network], entry.endpoint ?? null),
  );

export const editNote = (list: ListName, entry: Entry, note: string) => {
  const edit = (note: string, version?: string) =>
    ask("PATCH", `/lists/${list}`, {
      body: { network: entry.ip, endpoint: entry.endpoint, note, version },
    });
  return change(() => edit(note, entry.version), words().editedOne(entry.ip), () => edit(entry.note));
};

/** Each endpoint's list is one of its own. */
export function removeEntries(list: ListName, entries: Entry[]) {
  const endpoints = new Set(entries.map((entry) => entry.endpoint));
  return change(
    async (confirmed) => {
      for (const endpoint of endpoints) {
        const own = entries.filter((entry) => entry.endpoint === endpoint);
        await take(list, own.map((entry) => entry.ip), endpoint, confirmed);
      }
    },
    words().removedSome(entries.length, entries[0]?.ip ?? ""),
    () => Promise.all(entries.map((entry) => put(list, asNew(entry)))),
  );
}

const setBlock = (address: string, duration_s: number | undefined, reason: string, confirmed = false) =>
  ask("POST", "/blocks", { body: { address, duration_s, reason }, confirmed });

const lift = (address: string) => ask("DELETE", `/blocks/${encodeURIComponent(address)}`);

export const block = (address: string, duration_s: number, reason: string) =>
  change(
    (confirmed) => setBlock(address, duration_s, reason, confirmed),
    words().blockedOne(address),
    () => lift(address),
  );

/** The address of a source, which may be a /64. */
export const addressOf = (source: string) => source.split("/", 1)[0] ?? source;

const blockAgain = (blocks: Block[]) =>
  Promise.all(
    blocks.map(({ source, expires_at, reason }) =>
      setBlock(addressOf(source), left(expires_at), reason),
    ),
  );

export const unblock = (blocks: Block[]) =>
  change(
    () => Promise.all(blocks.map(({ source }) => lift(addressOf(source)))),
    words().unblockedSome(blocks.length, blocks[0]?.source ?? ""),
    () => blockAgain(blocks),
  );

export function denyBlocks(blocks: Block[]) {
  const addresses = blocks.map(({ source }) => addressOf(source));
  return change(
    (confirmed) => ask("POST", "/blocks/deny", { body: { addresses }, confirmed }),
    words().deniedSome(blocks.length, blocks[0]?.source ?? ""),
    async () => {
      await take("deny", blocks.map(({ source }) => source), null);
      await blockAgain(blocks);
    },
  );
}

export const revokeTrust = (source: string) =>
  change(
    () => ask("DELETE", `/trust/${encodeURIComponent(addressOf(source))}`),
    words().revoked(source),
  );

const putPeer = (body: { network: string; note: string; rate?: number | undefined }) =>
  ask("POST", "/peers", { body });

const takePeer = (network: string) => ask("DELETE", `/peers${query({ network })}`);

export const addPeer = (peer: { network: string; note: string; rate?: number | undefined }) =>
  change(() => putPeer(peer), words().addedOne(peer.network), () => takePeer(peer.network));

export const removePeer = ({ network, note, rate }: Peer) =>
  change(
    () => takePeer(network),
    words().removedSome(1, network),
    () => putPeer({ network, note, rate: rate ?? undefined }),
  );
