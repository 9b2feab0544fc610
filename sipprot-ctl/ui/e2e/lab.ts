// The page as somebody has it who is logged in; a test fails on any error in its console.

import { expect, test as base, type Page } from "@playwright/test";
import { readFileSync } from "node:fs";

export const PASSWORD = process.env["SIPPROT_UI_PASSWORD"] ?? "";
/** Where the browser is. */
export const OPERATOR = process.env["SIPPROT_UI_OPERATOR"] ?? "";
/** Somebody who is blocked, with the first payload for a user agent. */
export const ATTACKER = process.env["SIPPROT_UI_ATTACKER"] ?? "";
export const IS_FULL = !!process.env["SIPPROT_TEST_FULL"];
export const PAYLOADS = JSON.parse(
  readFileSync(new URL("payloads.json", import.meta.url), "utf8"),
) as string[];

export interface Session {
  csrf: string;
  cookies: { name: string; value: string; url: string }[];
}

// A status that the page shows in words is told by the browser as an error, too.
const EXPECTED = /Failed to load resource: the server responded with a status of (400|401|404|409)/;

export const test = base.extend<{ quiet: void; user: string }, { sessions: Map<string, Session> }>({
  user: ["ann", { option: true }],
  // Passwords are slow to try: each user logs in once.
  sessions: [
    async ({}, use) => use(new Map()),
    { scope: "worker" },
  ],
  quiet: [
    async ({ page }, use) => {
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error" && !EXPECTED.test(message.text())) errors.push(message.text());
      });
      await use();
      // A test may end while the page still asks for something that it answers.
      await page.unrouteAll({ behavior: "ignoreErrors" });
      expect(errors).toEqual([]);
    },
    { auto: true },
  ],
});

export async function logIn(
  page: Page,
  sessions: Map<string, Session>,
  user: string,
  url: string,
): Promise<Session> {
  let session = sessions.get(user);
  if (!session) {
    const answer = await page.request.post("/api/v1/session", {
      data: { name: user, password: PASSWORD },
    });
    expect(answer.status()).toBe(200);
    const { csrf_token } = (await answer.json()) as { csrf_token: string };
    const cookies = (await page.context().cookies()).map(({ name, value }) => ({ name, value, url }));
    session = { csrf: csrf_token, cookies };
    sessions.set(user, session);
  }
  await page.context().addCookies(session.cookies);
  return session;
}

export async function open(page: Page, hash: string) {
  await page.goto(`/#/${hash}`);
  await expect(page.locator("h1")).toBeVisible();
}

const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

interface Violation {
  id: string;
  nodes: { html: string }[];
}

/** All rules, or those on colours alone. */
export async function axe(page: Page, colours: boolean): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async (colours) => {
    const { axe } = window as unknown as {
      axe: { run: (options: object) => Promise<{ violations: Violation[] }> };
    };
    const tags = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
    const rules = { type: "rule", values: ["color-contrast"] };
    return (await axe.run({ runOnly: colours ? rules : tags })).violations;
  }, colours);
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}
