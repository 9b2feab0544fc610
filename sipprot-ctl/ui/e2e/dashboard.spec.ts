// The dashboard: what it tells, its filters, its map, and what it shows live.

import { expect, type Page } from "@playwright/test";
import { logIn, open, test, type Session } from "./lab";

let session: Session;
test.beforeEach(async ({ page, sessions, user, baseURL }) => {
  session = await logIn(page, sessions, user, baseURL ?? "");
});

const table = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
const headers = () => ({ "x-csrf-token": session.csrf });

async function block(page: Page, address: string, reason: string) {
  const data = { address, reason, duration_s: 600 };
  const answer = await page.request.post("/api/v1/blocks", { data, headers: headers() });
  expect(answer.status()).toBe(200);
}

test("it tells of the attack", async ({ page }) => {
  await open(page, "dashboard");
  await expect(page.getByRole("heading", { name: "Protected", exact: true })).toBeVisible();
  const endpoints = table(page, "By endpoint");
  await expect(endpoints.getByRole("row", { name: /pbx1/ })).toBeVisible();
  await expect(table(page, "By method").getByRole("link").first()).toBeVisible();
  await expect(page.getByRole("img", { name: "Attacks over time" }).locator("canvas")).toBeVisible();
  await page.getByText("As a table").click();
  await expect(table(page, "Attacks over time").locator("tbody tr").first()).toBeVisible();
  await endpoints.getByRole("link", { name: "pbx1" }).click();
  await expect(page).toHaveURL(/#\/endpoints\/pbx1/);
});

test("range, interval and filters are in the address bar, and act on all", async ({ page }) => {
  const asked = (part: string) => page.waitForRequest((it) => it.url().includes("/report/summary") && it.url().includes(part));
  await open(page, "dashboard");
  const [week] = await Promise.all([asked("days=7"), page.getByLabel("Days").selectOption("7")]);
  expect(week.url()).toContain("days=7");
  await expect(page).toHaveURL(/days=7/);
  await page.getByRole("combobox", { name: /^Refresh/ }).selectOption("5");
  await expect(page).toHaveURL(/every=5/);
  await asked("days=7");
  await page.getByLabel("Days").selectOption("own");
  await Promise.all([asked("from=2026-01-05"), page.getByLabel("From", { exact: true }).fill("2026-01-05")]);
  await Promise.all([asked("to=2026-01-09"), page.getByLabel("To", { exact: true }).fill("2026-01-09")]);
  await expect(page.getByText("These days are over")).toBeVisible();
  await expect(page.getByText("No attack on these days.")).toBeVisible();
  await open(page, "dashboard?days=1");
  await Promise.all([asked("kind=BRUTEFORCE"), table(page, "By method").getByRole("link", { name: /BRUTEFORCE/ }).first().click()]);
  await page.reload();
  const chip = page.getByRole("button", { name: "No longer filter by Guessing passwords" });
  await expect(chip).toBeVisible();
  await chip.click();
  await expect(page).not.toHaveURL(/attack=/);
  await Promise.all([asked("days=1"), page.getByRole("button", { name: "Refresh", exact: true }).click()]);
});

/** As the daemon of a host would answer whom the whole world attacks: the lab's addresses are in no country. */
async function attackedBy(page: Page, codes: string[]) {
  await page.route("**/api/v1/report/summary*", async (route) => {
    const response = await route.fetch();
    const summary = (await response.json()) as Record<string, unknown>;
    const countries = codes.map((country, index) => ({
      country, country_name: country, attackers: codes.length - index, blocks: 1, containments: 0, drops: 10 ** (5 - Math.min(index, 5)),
    }));
    return route.fulfill({ response, json: { ...summary, countries } });
  });
}

test("the map knows the smallest, and a country is filtered by", async ({ page }) => {
  const codes = ["CN", "SG", "HK", "MT", "BH", "GF", "XK", "GI"];
  await attackedBy(page, codes);
  await open(page, "dashboard");
  const map = page.getByRole("img", { name: /^Map of the countries/ });
  for (const code of codes) await expect(map.locator(`[data-code=${code}]`).last()).toBeVisible();
  expect(await map.locator("path[data-code=CN]").getAttribute("class")).toContain("heat-5");
  await map.locator("circle[data-code=SG]").click();
  await expect(page).toHaveURL(/country=SG/);
  await expect(page.getByText("Singapore").first()).toBeVisible();
  await page.getByRole("button", { name: "All countries" }).click();
  await expect(page).not.toHaveURL(/country=/);
  for (const name of ["Zoom in", "Zoom in", "Zoom out"]) await page.getByRole("button", { name }).click();
  // And by keyboard, in the table.
  const malta = table(page, "Top countries").getByRole("button", { name: "Malta" });
  await malta.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/country=MT/);
  await expect(malta).toHaveAttribute("aria-pressed", "true");
  await expect(page.getByRole("link", { name: "Its blocks" })).toHaveAttribute("href", /country=MT/);
});

test("a country is shut out after a look at whom that cuts off, and let in again", async ({ page }) => {
  await attackedBy(page, ["KP"]);
  await open(page, "dashboard?country=KP");
  const ask = page.getByRole("button", { name: "Shut it out …" });
  await ask.click();
  const dialog = page.getByRole("dialog", { name: "Shut out North Korea?" });
  await expect(dialog.getByText(/Networks that the kernel takes|country database/)).toBeVisible();
  if (await dialog.getByText("there is no country database").isVisible()) return;
  await expect(dialog.getByText("Nobody whom this host knows would be cut off.")).toBeVisible();
  await dialog.getByRole("button", { name: "Shut it out" }).click();
  const said = page.locator(".toast", { hasText: "North Korea is shut out." });
  await expect(said).toBeVisible();
  await ask.click();
  await expect(dialog.getByText("North Korea is shut out already.")).toBeVisible();
  await page.keyboard.press("Escape");
  await said.getByRole("button", { name: "Undo" }).click();
  await expect(page.locator(".toast", { hasText: "Undone." })).toBeVisible();
});

test("what happens appears at once, and waits for who reads", async ({ page }) => {
  await open(page, "dashboard");
  const feed = page.getByRole("region", { name: "Live", exact: true });
  await expect(feed.locator("tbody tr").first()).toBeVisible();
  await block(page, "203.0.113.201", "the first by hand");
  await expect(feed.getByText("the first by hand")).toBeVisible();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.mouse.move(0, 0);
  await block(page, "203.0.113.202", "the second by hand");
  const fresh = page.getByRole("button", { name: "1 new one" });
  await expect(fresh).toBeVisible();
  await expect(feed.getByText("the second by hand")).toHaveCount(0);
  await fresh.click();
  await expect(feed.getByText("the second by hand")).toBeVisible();
  await page.getByRole("button", { name: "Go on" }).click();
  // Under the pointer nothing moves.
  await feed.hover();
  await block(page, "203.0.113.203", "the third by hand");
  await expect(fresh).toBeVisible();
  await page.mouse.move(0, 0);
  await page.locator("h1").click();
  await expect(feed.getByText("the third by hand")).toBeVisible();
  for (const last of [201, 202, 203]) {
    await page.request.delete(`/api/v1/blocks/203.0.113.${last}`, { headers: headers() });
  }
});

test("what is wrong has a link to where it is mended", async ({ page }) => {
  await page.route("**/api/v1/status", async (route) => {
    const response = await route.fetch();
    const problems = ["blocks not in force, for the kernel did not take them: 3", "eth9 is not filtered"];
    const status = { ...(await response.json()), problems, protected: false };
    return route.fulfill({ response, json: status });
  });
  await open(page, "dashboard");
  await expect(page.getByRole("heading", { name: "Not protected" })).toBeVisible();
  await expect(page.getByText("eth9 is not filtered")).toBeVisible();
  await page.getByRole("link", { name: /blocks not in force/ }).click();
  await expect(page).toHaveURL(/#\/blocks/);
});
