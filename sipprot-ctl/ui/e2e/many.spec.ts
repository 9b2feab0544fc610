// How long lists take with as many rows as there are, and what the tab takes in memory. The long form, of
// 100,000 blocks and 1,000,000 denials, has a lab of its own (tests/tests/ui.rs).

import { expect, type Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { logIn, test } from "./lab";

/** Generous: what is to be seen is printed. */
const LIMIT_MS = 20_000;

async function timed(what: string, act: () => Promise<void>) {
  const began = performance.now();
  await act();
  const took = performance.now() - began;
  console.log(`  ${what}: ${took.toFixed(0)} ms`);
  expect(took, what).toBeLessThan(LIMIT_MS);
}

const MIB = 1 << 20;

/** Of the page's own heap, and of its renderer. */
async function memory(page: Page): Promise<string> {
  const own = await page.context().newCDPSession(page);
  await own.send("HeapProfiler.collectGarbage");
  await own.send("Performance.enable");
  const { metrics } = await own.send("Performance.getMetrics");
  const value = (name: string) => metrics.find((it) => it.name === name)?.value ?? 0;
  const browser = await page.context().browser()?.newBrowserCDPSession();
  const processes = (await browser?.send("SystemInfo.getProcessInfo"))?.processInfo ?? [];
  const resident = processes
    .filter(({ type }) => type === "renderer")
    .map(({ id }) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0) * 1024);
  const renderer = (Math.max(0, ...resident) / MIB).toFixed(0);
  return `heap ${(value("JSHeapUsedSize") / MIB).toFixed(1)} MiB, ${value("Nodes")} nodes, renderer ${renderer} MiB resident`;
}

const firstRow = (page: Page) => page.locator("tbody tr").first();
const asked = (page: Page, part: string) => page.waitForResponse((it) => it.url().includes("/api/v1/") && it.url().includes(part));

for (const { hash, title } of [
  { hash: "blocks", title: "dynamic blocks" },
  { hash: "deny", title: "denylist" },
]) {
  test(`many rows: ${title}`, async ({ page, sessions, user, baseURL }) => {
    test.setTimeout(240_000);
    await logIn(page, sessions, user, baseURL ?? "");
    await page.goto("/#/about");
    await expect(page.locator("h1")).toBeVisible();
    console.log(`${title}:`);
    await timed("first paint with 50 rows", async () => {
      await page.goto(`/#/${hash}`);
      await expect(page.getByText(/^[\d,]+ in all$/)).toBeVisible();
    });
    console.log(`  ${await page.getByText(/in all$/).textContent()}`);
    if (await page.getByRole("button", { name: "Next page" }).isDisabled()) return;
    await timed("the next page", async () => {
      await Promise.all([asked(page, "offset=50"), page.getByRole("button", { name: "Next page" }).click()]);
      await expect(firstRow(page)).toBeVisible();
    });
    await timed("a page of 500", async () => {
      await Promise.all([asked(page, "limit=500"), page.getByLabel("Rows").selectOption("500")]);
      await expect(firstRow(page)).toBeVisible();
    });
    // Beside the address the cell may name its country.
    const [own = ""] = (await firstRow(page).locator("td").nth(1).innerText()).trim().split(/\s/);
    await timed("search for an address", async () => {
      await Promise.all([asked(page, "search="), page.getByRole("searchbox").fill(own)]);
      await expect(firstRow(page)).toContainText(own);
    });
    await timed("sorted by time", async () => {
      await Promise.all([asked(page, "sort=time"), page.goto(`/#/${hash}?sort=-time`)]);
      await expect(firstRow(page)).toBeVisible();
    });
    console.log(`  ${await memory(page)}`);
  });
}
