// Each PBX: who belongs to it, who attacks it, and what holds of it.

import { expect } from "@playwright/test";
import { OPERATOR, logIn, open, test } from "./lab";

test.beforeEach(async ({ page, sessions, user, baseURL }) => {
  await logIn(page, sessions, user, baseURL ?? "");
});

test("a line for each, and one to look into", async ({ page }) => {
  await open(page, "endpoints");
  const all = page.getByRole("region", { name: "Endpoints" });
  await expect(all.locator("tbody tr")).toHaveCount(2);
  await expect(all.getByRole("row", { name: /pbx1.*Enforces/ })).toBeVisible();
  await all.getByRole("link", { name: "pbx1" }).click();
  await expect(page.getByRole("heading", { name: /^pbx1/ })).toBeVisible();
  await expect(page.getByRole("region", { name: "Its own policy" }).getByRole("row", { name: /The host/ }).first()).toBeVisible();
  for (const heading of ["Possible break-ins", "Quarantined devices", "Registrations", "Trusted trunks"]) {
    await expect(page.getByRole("heading", { name: heading })).toBeVisible();
  }
  await page.getByRole("link", { name: "Its blocks" }).first().click();
  const filter = page.getByRole("button", { name: "No longer filter by Endpoint: pbx1" });
  await expect(filter).toBeVisible();
  await expect(page.locator("tbody tr").first()).toBeVisible();
  await filter.click();
  await expect(page).not.toHaveURL(/endpoint=/);
});

test("trust is revoked, and given back", async ({ page }) => {
  await open(page, "endpoints/pbx1");
  const phones = page.getByRole("region", { name: "Registrations" });
  const row = phones.getByRole("row", { name: new RegExp(OPERATOR.replaceAll(".", "\\.")) });
  await expect(row).toBeVisible();
  await row.getByRole("button", { name: /^Revoke/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(row).toHaveCount(0);
  await page.locator(".toast", { hasText: "no longer trusted" }).getByRole("button", { name: "Undo" }).click();
  await open(page, "trust");
  await expect(page.getByRole("row", { name: new RegExp(OPERATOR.replaceAll(".", "\\.")) })).toBeVisible();
});

test("a quarantined device is let go", async ({ page }) => {
  // As after an office's old phones: the lab's test of the rules makes real ones.
  const quarantine = {
    source: OPERATOR, kind: "quarantine", port: 5071, endpoint: "pbx1", victim: null, scope: "sip", rule: "BRUTEFORCE:register",
    reason: "an old password", proven: true, started_at: 1, expires_at: Date.now() / 1000 + 600, duration_s: 600, renewals: 0,
    reaction_us: null, user_agent: "an old phone", account: null, country: null, evidence: null, refused: false,
  };
  let lifted = "";
  await page.route(/\/api\/v1\/blocks\?/, (route) => route.fulfill({ json: { blocks: lifted ? [] : [quarantine], total: 1 } }));
  await page.route(/\/api\/v1\/blocks\/[^?]+$/, (route) => {
    lifted = route.request().url();
    return route.fulfill({ json: { done: true, message: "" } });
  });
  await open(page, "endpoints/pbx1");
  await page.getByRole("button", { name: `Unblock: ${OPERATOR} 5071` }).click();
  await expect(page.getByText("an old phone")).toHaveCount(0);
  expect(lifted).toContain(OPERATOR);
});

test("one that isn't there is told so", async ({ page }) => {
  await open(page, "endpoints/none");
  await expect(page.getByText("There is no endpoint none.")).toBeVisible();
  await page.getByRole("link", { name: "All endpoints" }).click();
  await expect(page).toHaveURL(/#\/endpoints$/);
});
