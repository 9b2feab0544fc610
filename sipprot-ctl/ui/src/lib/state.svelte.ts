// What all pages share: who is logged in, what was said to them, and the change that waits.

import { ApiError, ask, get, session, whenEnded } from "./api";
import type { Pending, Right, Session, Status } from "./types";
import { words } from "./words";

const RIGHTS: readonly Right[] = ["read", "lists", "admin"];
const TOAST_TIME = 10_000;

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
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
      await toast.undo?.();
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

  async look() {
    const status = await get<Status>("/status");
    this.take(status);
    return status;
  }

  take(status: Status) {
    this.change = status.pending && !status.pending.ended ? status.pending : null;
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
  answer: (go: boolean) => void;
}

/** The dialog that asks before somebody cuts themselves off. */
export const risk = $state<{ asked: Risk | null }>({ asked: null });

/**
 * Makes a change. One that may cut off who makes it is refused at first; it is made after they said yes,
 * and waits for their confirmation. False if they said no, or it failed, which they have been told.
 */
export async function change(
  make: (confirmed: boolean) => Promise<unknown>,
  said: string,
  undo: Toast["undo"] = null,
): Promise<boolean> {
  let confirmed = false;
  try {
    try {
      await make(false);
    } catch (error) {
      if (!(error instanceof ApiError && error.fault.code === "refused")) throw error;
      const { message } = error.fault;
      confirmed = await new Promise<boolean>((answer) => (risk.asked = { message, answer }));
      risk.asked = null;
      if (!confirmed) return false;
      await make(true);
    }
  } catch (error) {
    toasts.complain(error);
    return false;
  }
  changes.count += 1;
  if (confirmed) await waiting.look().catch(() => undefined);
  toasts.say(said, undo);
  return true;
}
