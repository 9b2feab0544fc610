// What strangers chose is text: in lists, in dialogs, in files, and in every answer of the API.

import { expect, type Page } from "@playwright/test";
import { ATTACKER, PAYLOADS, logIn, open, test } from "./lab";
import { PAGES } from "./list";

const FORBIDDEN =
  ":is(script, iframe, img, math, object, embed, video, audio, style, link, base, meta, marquee, xmp, template, svg:not(.map))";

/** Nothing ran, and nothing of it became an element. */
async function nothingHappened(page: Page) {
  expect(await page.evaluate(() => (window as { __hit?: number }).__hit)).toBeUndefined();
  await expect(page.locator(`body ${FORBIDDEN}`)).toHaveCount(0);
  await expect(page.locator("body a[href^=javascript], body [onerror], body [onload], body [onfocus]")).toHaveCount(0);
}

test.beforeEach(async ({ page, sessions, user, baseURL }) => {
  await logIn(page, sessions, user, baseURL ?? "");
});

test("user agents and user names of attackers", async ({ page }) => {
  await open(page, "blocks?size=100");
  for (const payload of PAYLOADS) {
    await expect(page.getByRole("cell", { name: payload, exact: true })).toBeVisible();
  }
  await page.getByRole("button", { name: new RegExp(`^Details: ${ATTACKER}\\b`) }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByText(PAYLOADS[0] ?? "", { exact: true }).first()).toBeVisible();
  // The user name's, with the PBX that it was tried at.
  await expect(dialog.getByText(`${PAYLOADS[0]}@`).first()).toBeVisible();
  await nothingHappened(page);
  await open(page, `address/${ATTACKER}`);
  await expect(page.getByText(PAYLOADS[0] ?? "", { exact: true }).first()).toBeVisible();
  await nothingHappened(page);
  await open(page, "dashboard");
  const late = PAYLOADS.at(-2) ?? "";
  await expect(page.getByRole("region", { name: "Live" }).getByRole("cell", { name: late, exact: true })).toBeVisible();
  await nothingHappened(page);
});

test("notes, and files", async ({ page, sessions }) => {
  const csrf = sessions.get("ann")?.csrf ?? "";
  for (const [index, note] of PAYLOADS.entries()) {
    const data = { network: `203.0.113.${64 + index}`, note };
    const answer = await page.request.post("/api/v1/lists/deny", { data, headers: { "x-csrf-token": csrf } });
    expect(answer.status()).toBe(200);
  }
  await open(page, "deny?q=203.0.113.&size=100");
  for (const payload of PAYLOADS) {
    await expect(page.getByRole("cell", { name: payload, exact: true })).toBeVisible();
  }
  await nothingHappened(page);

  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const rows = PAYLOADS.map((payload, index) => `198.51.100.${128 + index},${quoted(payload)},,${quoted(payload)}`);
  const csv = ["IP_ADDRESS,NOTE,TIME,ADDED_BY", ...rows, ""].join("\n");
  await page.getByRole("button", { name: "Import" }).click();
  const dialog = page.getByRole("dialog");
  const wrong = PAYLOADS.slice(0, 20).map((payload) => `${quoted(payload)},x`);
  const buffer = Buffer.from(["IP_ADDRESS,NOTE", ...wrong, ""].join("\n"));
  await dialog.getByLabel("CSV file").setInputFiles({ name: `${PAYLOADS[1]}.csv`, mimeType: "text/csv", buffer });
  await expect(dialog.getByText("Nothing is imported while a row is wrong.")).toBeVisible();
  await expect(dialog.getByRole("button", { name: "Import" })).toBeDisabled();
  await nothingHappened(page);
  await dialog
    .getByLabel("CSV file")
    .setInputFiles({ name: "list.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await expect(dialog.getByText(`What would change (rows: ${PAYLOADS.length})`)).toBeVisible();
  await dialog.getByRole("button", { name: "Import" }).click();
  await expect(page.getByText(`Rows imported: ${PAYLOADS.length}.`)).toBeVisible();
  await open(page, "deny?q=198.51.100.1&size=100");
  // An apostrophe before a formula's beginning is the spreadsheet's, and none of the text.
  for (const payload of PAYLOADS.map((it) => it.replace(/^'(?=[-=+@])/, ""))) {
    await expect(page.getByRole("cell", { name: payload, exact: true }).first()).toBeVisible();
  }
  await nothingHappened(page);
});

/** Fields of answers that are words of the API's own: a page goes by them. */
const OWN = new Set([
  "kind", "right", "verdict", "mode", "code", "list", "scope", "origin", "csrf_token", "version", "date",
  "until", "kept_since", "type", "key", "xdp", "role", "country", "country_code", "until", "from", "to", "zone",
]);

/** Every other text is a payload, each the next one: host names, endpoints, interfaces, problems, authors. */
function poisoned(value: unknown, next: () => string, field = ""): unknown {
  if (Array.isArray(value)) return value.map((it) => poisoned(it, next, field));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, poisoned(it, next, name)]));
  }
  return typeof value === "string" && !OWN.has(field) ? next() : value;
}

test("every text of every answer", async ({ page }) => {
  let count = 0;
  // Each another one: lists go by names.
  const next = () => `${PAYLOADS[count % PAYLOADS.length]} ${count++}`;
  await page.route("**/api/v1/**", async (route) => {
    const url = route.request().url();
    if (route.request().method() !== "GET" || /\/(events|session|settings\/schema)(\?|$)/.test(url)) return route.continue();
    const response = await route.fetch();
    if (!response.headers()["content-type"]?.includes("json")) return route.fulfill({ response });
    return route.fulfill({ response, json: poisoned(await response.json(), next) });
  });
  for (const hash of PAGES) {
    await open(page, hash);
    await expect(page.getByText("Loading…")).toHaveCount(0);
    await nothingHappened(page);
  }
  // As many as are shown of the host alone: its name, interfaces, problems.
  await open(page, "dashboard");
  await expect(page.getByText(/__hit=1/).first()).toBeVisible();
  expect(count).toBeGreaterThan(PAYLOADS.length);
});
