// The days that the dashboard looks at, as the address bar names them.

export const SPANS = [1, 7, 30, 90] as const;
const SPAN = 1;

export interface Range {
  /** The last so many days; absent where the first is named. */
  days?: number;
  from?: string;
  to?: string;
}

const isDay = (text: string | undefined): text is string => /^\d{4}-\d\d-\d\d$/.test(text ?? "");

/** Days are the host's: of UTC. */
export const today = (now = Date.now()) => new Date(now).toISOString().slice(0, 10);

export function range({ from, to, days }: Record<string, string>): Range {
  if (isDay(from)) return isDay(to) && to >= from ? { from, to } : { from };
  const asked = Number(days);
  return { days: SPANS.some((it) => it === asked) ? asked : SPAN };
}

/** Whether what happens now is part of it. */
export const isLive = ({ to }: Range, now = Date.now()) => !to || to >= today(now);

export const EVERY = [0, 5, 30, 120] as const;
const OFTEN = 30;

/** Seconds between two looks; 0 is never. */
export function every({ every }: Record<string, string>): number {
  const asked = every === undefined ? OFTEN : Number(every);
  return EVERY.some((it) => it === asked) ? asked : OFTEN;
}
