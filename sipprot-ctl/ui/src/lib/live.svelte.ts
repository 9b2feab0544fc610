// What happens, as it happens: the daemon's server-sent events.

import { BASE, get, query } from "./api";
import { waiting } from "./state.svelte";
import type { LiveEvent } from "./types";

const KINDS = ["block", "contained", "quarantined", "denied", "alert"];
/** A change begins to wait for its confirmation, or waits no more. */
const CONFIRM = "confirm";
const SHOWN_MAX = 50;
const RECENT = 20;
const HELD_MAX = 500;
/** Under attack there may be hundreds a second. */
const TOGETHER_MS = 250;
const AGAIN_MS = 5000;

const newest = (events: LiveEvent[], most: number) =>
  events.sort((a, b) => b.at - a.at || b.id - a.id).slice(0, most);

export class Feed {
  /** The newest first. */
  shown = $state.raw<LiveEvent[]>([]);
  /** New ones that wait until somebody has read. */
  held = $state.raw<LiveEvent[]>([]);
  paused = $state(false);
  reading = $state(false);
  isOpen = $state(false);

  #come: LiveEvent[] = [];
  #seen = new Set<number>();

  constructor(private readonly onNews: () => void) {}

  /** Of an endpoint, or all. Returns what ends it. */
  follow(endpoint: string): () => void {
    const asked = { kind: [...KINDS, CONFIRM].join(","), endpoint };
    let source: EventSource | null = null;
    let again: ReturnType<typeof setTimeout> | undefined;
    const take = ({ data }: MessageEvent<string>) => this.#come.push(JSON.parse(data) as LiveEvent);
    const open = () => {
      source = new EventSource(`${BASE}/events${query(asked)}`);
      for (const kind of [...KINDS, "lost"]) source.addEventListener(kind, take);
      source.addEventListener(CONFIRM, () => void waiting.look().catch(() => undefined));
      source.onopen = () => {
        this.isOpen = true;
        get<{ events: LiveEvent[] }>(`/events/recent${query({ ...asked, limit: RECENT })}`).then(
          ({ events }) => this.#come.push(...events),
          () => undefined,
        );
      };
      source.onerror = () => {
        this.isOpen = false;
        // Lost lines the browser mends by itself; a refusal it doesn't.
        if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
      };
    };
    this.#seen.clear();
    this.shown = [];
    this.held = [];
    open();
    const tick = setInterval(() => this.#settle(), TOGETHER_MS);
    return () => {
      clearInterval(tick);
      clearTimeout(again);
      source?.close();
      this.isOpen = false;
    };
  }

  #settle() {
    // Who follows anew hears some of it twice; what was lost has no number of its own.
    const come = this.#come.splice(0).filter(({ id }) => id === 0 || !this.#seen.has(id));
    for (const { id } of come) this.#seen.add(id);
    if (come.length) this.onNews();
    const isFirst = this.shown.length === 0;
    if ((this.paused || this.reading) && !isFirst) {
      if (come.length) this.held = newest([...come, ...this.held], HELD_MAX);
    } else if (come.length || this.held.length) {
      this.shown = newest([...come, ...this.held, ...this.shown], SHOWN_MAX);
      this.held = [];
    }
  }

  /** Shows what waits, and holds on as before. */
  release() {
    this.shown = newest([...this.held, ...this.shown], SHOWN_MAX);
    this.held = [];
  }
}
