// Before a daemon beside the hub: of two hosts, one has reported ATTACKER.
import { expect } from "@playwright/test";
import { ATTACKER, axe, logIn, open, test } from "./lab";
import { INTO, picture } from "./picture";


test.beforeEach(async ({ page, sessions, user, baseURL }) => {
  await logIn(page, sessions, user, baseURL ?? "");
  await open(page, "hosts");
});

test("each host is shown as it fares", async ({ page }) => {
  const hosts = page.getByRole("region", { name: "Hosts" });
  for (const name of ["pbx-01", "pbx-02"]) {
    const row = hosts.getByRole("row", { name: new RegExp(name) });
    await expect(row).toContainText("Protected");
    await expect(row).toContainText(/native|generic/);
  }
  await expect(page.getByRole("region", { name: "This host" })).toContainText("pbx-01");
  await expect(page.getByRole("region", { name: "This host" })).toContainText("connected");
  expect(await axe(page, false)).toEqual([]);
});

test("what waits is rejected, spread, taken back, and spread again", async ({ page }) => {
  const act = (name: string) => page.getByRole("button", { name: `${name}: ${ATTACKER}` });
  const filter = page.getByRole("combobox", { name: "Decision" });
  const toast = (text: string) => page.locator(".toast", { hasText: text });
  await expect(page.getByRole("row", { name: ATTACKER })).toContainText("proven by 1 of 1 host");
  await act("Reject").click();
  await expect(toast("is rejected")).toBeVisible();
  await expect(page.getByText("Nothing waits for you.")).toBeVisible();
  await filter.selectOption("rejected");
  await expect(page).toHaveURL(/state=rejected/);
  await expect(page.getByRole("row", { name: ATTACKER })).toContainText("by ann");
  await act("Approve").click();
  await toast("is spread to all hosts").getByRole("button", { name: "Undo" }).click();
  await filter.selectOption("recalled");
  await act("Approve").click();
  await filter.selectOption("listed");
  await expect(act("Recall")).toBeVisible();
  await page.getByText("Decisions", { exact: true }).click();
  const approved = page.getByRole("listitem").filter({ hasText: "ann: approve" });
  await expect(approved).toHaveCount(2);
  await expect(approved.first()).toContainText(`${ATTACKER} (Recalled)`);
  if (!INTO) return;
  await page.setViewportSize({ width: 1300, height: 1300 });
  await page.reload();
  await page.getByText("Decisions", { exact: true }).click();
  await picture(page, "hosts-fleet");
});

test.describe("a viewer", () => {
  test.use({ user: "bob" });
  test("looks, and decides nothing", async ({ page }) => {
    await expect(page.getByRole("region", { name: "Hosts" })).toContainText("pbx-02");
    await expect(page.getByRole("button", { name: /^(Approve|Recall|Reject)/ })).toHaveCount(0);
  });
});
