// What all pages share: who is logged in, what was said to them, and the change that waits.

import { ApiError, ask, get, session, whenEnded } from "./api";
import type { Done, Pending, Right, Session, Status } from "./types";
import { words } from "./words";

const RIGHTS: readonly Right[] = ["read", "lists", "admin"];
const TOAST_TIME = 10_000;

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
  /** False where it was thought better of. */
  undo: (() => Promise<unknown>) | null;
}

class Me {
  session = $state.raw<Session | null>(null);
  known = $state(false);
  ended = $state(false);
  unreachable = $state(false);

  async find() {
    try {
      this.session = await session();
      this.known = true;
      this.unreachable = false;
    } catch {
      this.unreachable = true;
    }
  }

  may(right: Right): boolean {
    return !!this.session && RIGHTS.indexOf(this.session.right) >= RIGHTS.indexOf(right);
  }
}

export const me = new Me();
whenEnded(() => {
  me.session = null;
  me.ended = true;
});

class Toasts {
  all = $state.raw<Toast[]>([]);
  #next = 0;

  say(text: string, undo: Toast["undo"] = null, bad = false) {
    const toast = { id: this.#next++, text, bad, undo };
    this.all = [...this.all.slice(-3), toast];
    setTimeout(() => this.drop(toast.id), TOAST_TIME);
  }

  complain(error: unknown) {
    this.say(complaint(error), null, true);
  }

  drop(id: number) {
    this.all = this.all.filter((toast) => toast.id !== id);
  }

  async undo(toast: Toast) {
    this.drop(toast.id);
    try {
      if ((await toast.undo?.()) === false) return;
      this.say(words().undone);
      changes.count += 1;
    } catch (error) {
      this.complain(error);
    }
  }
}

export const toasts = new Toasts();

export function complaint(error: unknown): string {
  const w = words();
  if (!(error instanceof ApiError)) return `${w.failed}: ${String(error)}`;
  if (error.status === 0) return w.unreachable;
  if (error.status === 403) return w.forbidden;
  const { field, message } = error.fault;
  return field ? `${field}: ${message}` : message;
}

/** Goes up with every change, so that what shows lists looks again. */
export const changes = $state({ count: 0 });

class Waiting {
  change = $state.raw<Pending | null>(null);
  /** By this window's own clock, which need not show the host's time. */
  ends = $state(0);

  async look() {
    const status = await get<Status>("/status");
    this.take(status);
    return status;
  }

  take(status: Status) {
    this.change = status.pending && !status.pending.ended ? status.pending : null;
    this.ends = performance.now() + (this.change?.left_s ?? 0) * 1000;
  }

  async settle(keep: boolean) {
    await ask(keep ? "POST" : "DELETE", "/confirm");
    this.change = null;
    changes.count += 1;
    toasts.say(keep ? words().kept : words().takenBack);
  }
}

export const waiting = new Waiting();

interface Risk {
  message: string;
  /** Seconds that it would wait for its confirmation. */
  within: number;
  answer: (go: boolean) => void;
}

/** The dialog that asks before somebody cuts themselves off. */
export const risk = $state<{ asked: Risk | null }>({ asked: null });

type Step = (confirmed: boolean) => Promise<unknown>;

/** Does it; what may cut off who asks is refused at first, and done after they said yes. Null if they said no. */
async function consented(step: Step): Promise<unknown> {
  try {
    return await step(false);
  } catch (error) {
    if (!(error instanceof ApiError && error.fault.consent)) throw error;
    const { message } = error.fault;
    const { confirm_within_s: within } = await waiting.look();
    const go = await new Promise<boolean>((answer) => (risk.asked = { message, within, answer }));
    risk.asked = null;
    if (!go) return null;
    const made = await step(true);
    await waiting.look().catch(() => undefined);
    return made;
  }
}

/** By their records in the audit log, the last one first. */
async function takeBack(numbers: number[]): Promise<boolean> {
  for (const number of [...numbers].reverse()) {
    const undo = (confirmed: boolean) => ask("POST", `/audit/${number}/undo`, { confirmed });
    if ((await consented(undo)) === null) return false;
  }
  return true;
}

/** Makes a change. False if they said no, or it failed, which they have been told. */
export const change = (make: Step, said: string, undo: Toast["undo"] = null) =>
  changeAll([make], said, undo);

/** Several that are taken back together; what was done before one fails stays done. */
export async function changeAll(
  steps: Step[],
  said: string,
  undo: Toast["undo"] = null,
): Promise<boolean> {
  const numbers: number[] = [];
  let done = 0;
  try {
    for (const step of steps) {
      const made = await consented(step);
      if (made === null) break;
      done += 1;
      const audit = (made as Partial<Done> | undefined)?.audit;
      if (audit) numbers.push(audit);
    }
  } catch (error) {
    toasts.complain(error);
  }
  const isWhole = done === steps.length;
  if (done) {
    changes.count += 1;
    const back = undo ?? (numbers.length ? () => takeBack(numbers) : null);
    toasts.say(isWhole ? said : words().partly, back, !isWhole);
  }
  return isWhole;
}
