// The way to the daemon. Nothing else in the page asks for anything.

import type { Fault, Session } from "./types";

export const BASE = "/api/v1";
const CSRF_HEADER = "x-csrf-token";
const CONFIRM_HEADER = "sipprot-confirm";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly fault: Fault,
  ) {
    super(fault.message);
  }
}

let csrf: string | null = null;
let onEnded: () => void = () => {};

/** Called when the daemon no longer knows who asks. */
export function whenEnded(ended: () => void) {
  onEnded = ended;
}

export interface Asked {
  body?: unknown;
  file?: Blob;
  /** A 401 says that the password which was sent is wrong, and ends no login. */
  proves?: boolean;
  /** Known to cut somebody off: do it, and take it back unless it is confirmed. */
  confirmed?: boolean;
  signal?: AbortSignal;
}

async function send(method: string, path: string, asked: Asked): Promise<Response> {
  const headers: Record<string, string> = {};
  if (csrf) headers[CSRF_HEADER] = csrf;
  if (asked.confirmed) headers[CONFIRM_HEADER] = "true";
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (asked.body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(asked.body);
  } else if (asked.file) {
    headers["content-type"] = "text/csv";
    init.body = asked.file;
  }
  if (asked.signal) init.signal = asked.signal;
  let response: Response;
  try {
    response = await fetch(BASE + path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "unreachable", message: "" });
  }
  if (response.ok) return response;
  const fault = await response.json().then(
    (body: { error: Fault }) => body.error,
    () => ({ code: "internal", message: response.statusText }),
  );
  if (response.status === 401 && csrf !== null && !asked.proves) {
    csrf = null;
    onEnded();
  }
  throw new ApiError(response.status, fault);
}

export async function ask<T>(method: string, path: string, asked: Asked = {}): Promise<T> {
  return (await (await send(method, path, asked)).json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) =>
  ask<T>("GET", path, signal ? { signal } : {});

export const download = async (path: string) => (await send("GET", path, {})).blob();

/** A query string of what is set; empty fields are left out. */
export function query(fields: Record<string, string | number | boolean | undefined | null>): string {
  const set = Object.entries(fields).filter(
    ([, value]) => value !== undefined && value !== null && value !== "" && value !== false,
  );
  const text = new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
}

/** Who is logged in, or null. */
export async function session(): Promise<Session | null> {
  try {
    return remember(await get<Session>("/session"));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

export async function logIn(name: string, password: string): Promise<Session> {
  return remember(await ask<Session>("POST", "/session", { body: { name, password } }));
}

export async function logOut(): Promise<void> {
  await ask("DELETE", "/session");
  csrf = null;
}

function remember(found: Session): Session {
  csrf = found.csrf_token;
  return found;
}
