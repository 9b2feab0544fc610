import { expect } from "@playwright/test";
import { readFileSync } from "node:fs";
import { ATTACKER, IS_FULL, OPERATOR, PASSWORD, axe, logIn, open, test } from "./lab";
import { PAGES } from "./list";

const BUDGET = 150 * 1024;

test("who logs in gets in, and out", async ({ page }) => {
  await page.goto("/");
  await page.getByLabel("Name").fill("ann");
  await page.getByLabel("Password").fill("a wrong password");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByText("Name or password is wrong.")).toBeVisible();
  expect(await axe(page, false)).toEqual([]);
  await page.getByLabel("Language").selectOption("fr");
  await expect(page.getByRole("button", { name: "Se connecter" })).toBeVisible();
  await page.getByLabel("Mot de passe").fill(PASSWORD);
  await page.getByRole("button", { name: "Se connecter" }).click();
  await expect(page.getByRole("heading", { name: "Tableau de bord", level: 1 })).toBeVisible();
  await page.getByRole("button", { name: "Se déconnecter" }).click();
  await expect(page.getByRole("button", { name: "Se connecter" })).toBeVisible();
});

test("what is sent is small, kept, and strict", async ({ page }) => {
  let bytes = 0;
  const sizes: Promise<void>[] = [];
  page.on("requestfinished", (request) => {
    if (new URL(request.url()).pathname.startsWith("/api/")) return;
    sizes.push(request.sizes().then(({ responseBodySize }) => void (bytes += responseBodySize)));
  });
  await page.goto("/");
  await expect(page.getByRole("button", { name: "Log in" })).toBeVisible();
  await Promise.all(sizes);
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(BUDGET);

  const index = await page.request.get("/");
  const headers = index.headers();
  expect(headers["content-security-policy"]).toContain("script-src 'self'");
  expect(headers["content-security-policy"]).not.toContain("unsafe");
  expect(headers["x-content-type-options"]).toBe("nosniff");
  const again = await page.request.get("/", { headers: { "if-none-match": headers["etag"] ?? "" } });
  expect(again.status()).toBe(304);
  const [script = ""] = /assets\/[\w-]+\.js/.exec(await index.text()) ?? [];
  const asset = await page.request.get(`/${script}`);
  expect(asset.headers()["cache-control"]).toContain("immutable");
  expect((await page.request.get("/assets/none.js")).status()).toBe(404);
});

test.describe("logged in", () => {
  test.beforeEach(async ({ page, sessions, user, baseURL }) => {
    await logIn(page, sessions, user, baseURL ?? "");
  });

  for (const theme of ["light", "dark", "contrast"]) {
    test(`every page is accessible: ${theme}`, async ({ page }) => {
      // Goes through all of them.
      test.slow();
      const isFrench = theme === "dark";
      await page.addInitScript(
        ([theme, language]) => {
          localStorage.setItem("sipprot.theme", theme ?? "");
          localStorage.setItem("sipprot.language", language ?? "");
        },
        [theme, isFrench ? "fr" : "en"],
      );
      for (const hash of PAGES) {
        await open(page, hash);
        await expect(page.getByText(isFrench ? "Chargement…" : "Loading…")).toHaveCount(0);
        await expect(page.locator("html")).toHaveAttribute("data-theme", theme);
        expect(await axe(page, theme !== "light" && !IS_FULL), `${hash} in ${theme}`).toEqual([]);
      }
    });
  }

  test("the allowlist: add, edit, undo, search, select, remove, export", async ({ page }) => {
    await open(page, "allow");
    for (const network of ["192.0.2.200", "192.0.2.208/28", "2001:db8:ffff::/48"]) {
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await page.getByLabel("Address or network").fill(network);
      await page.getByLabel("Note").fill(`note of ${network}`);
      await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
      await expect(page.getByText(`${network} is on the list.`)).toBeVisible();
    }
    const row = page.getByRole("row", { name: /192\.0\.2\.200/ });
    await row.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Note").fill("another note");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(row.getByRole("cell", { name: "another note" })).toBeVisible();
    const edited = page.locator(".toast", { hasText: "192.0.2.200 is changed." });
    await edited.getByRole("button", { name: "Undo" }).click();
    await expect(row.getByRole("cell", { name: "note of 192.0.2.200" })).toBeVisible();

    await page.getByRole("searchbox").fill("208");
    await expect(page).toHaveURL(/q=208/);
    await expect(page.locator("tbody tr")).toHaveCount(1);
    await page.reload();
    await expect(page.locator("tbody tr")).toHaveCount(1);
    await page.getByRole("button", { name: "Reset" }).click();
    await expect(page.locator("tbody tr")).toHaveCount(3);
    await page.getByRole("button", { name: "Note" }).click();
    await expect(page.getByRole("columnheader", { name: "Note" })).toHaveAttribute("aria-sort", "ascending");

    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export" }).click();
    const text = readFileSync(await (await saved).path(), "utf8");
    expect(text).toContain("note of 192.0.2.208/28");

    const template = page.waitForEvent("download");
    await page.getByRole("button", { name: "Template" }).click();
    await page.getByRole("button", { name: "Import" }).click();
    await page.getByLabel("CSV file").setInputFiles(await (await template).path());
    await expect(page.getByText("What would change (rows: 1)")).toBeVisible();
    await expect(page.getByRole("dialog").getByRole("button", { name: "Import" })).toBeEnabled();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();

    await page.getByLabel("Select all of this page").check();
    await page.getByRole("button", { name: "Refresh", exact: true }).click();
    await expect(page.getByText("3 of 3 selected")).toBeVisible();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await expect(page.getByText("The allowlist is empty.")).toBeVisible();
    const removed = page.locator(".toast", { hasText: "3 entries are removed." });
    await removed.getByRole("button", { name: "Undo" }).click();
    await expect(page.locator("tbody tr")).toHaveCount(3);
  });

  test("a block is lifted, put back, and made for good", async ({ page }) => {
    await open(page, `address/${ATTACKER}`);
    await page.getByRole("button", { name: "Unblock" }).click();
    await expect(page.getByText(`${ATTACKER} is unblocked.`)).toBeVisible();
    await expect(page.getByRole("button", { name: "Unblock" })).toHaveCount(0);
    await page.locator(".toast", { hasText: "unblocked" }).getByRole("button", { name: "Undo" }).click();
    await expect(page.getByRole("button", { name: "Unblock" })).toBeVisible();
    await open(page, `blocks?q=${ATTACKER}`);
    await page.getByLabel(`Select ${ATTACKER} pbx1`, { exact: true }).check();
    await page.getByRole("button", { name: "Move to the denylist" }).click();
    await expect(page.getByText(`${ATTACKER} is on the denylist.`)).toBeVisible();
    await open(page, `address/${ATTACKER}`);
    await expect(page.getByRole("heading", { name: /Denied: it is on the denylist/ })).toBeVisible();
  });

  test("peers come and go, trust is revoked", async ({ page }) => {
    await open(page, "trust/peers");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByLabel("Address or network").fill("203.0.113.240/28");
    await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
    const row = page.getByRole("row", { name: /203\.0\.113\.240/ });
    await row.getByRole("button", { name: "Remove" }).click();
    await expect(row).toHaveCount(0);
    await page.locator(".toast", { hasText: "is removed" }).getByRole("button", { name: "Undo" }).click();
    await expect(row).toHaveCount(1);
    await open(page, "trust");
    await page.getByRole("button", { name: `Revoke: ${OPERATOR}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await expect(page.getByText(`${OPERATOR} is no longer trusted.`)).toBeVisible();
  });

  test("nobody cuts themselves off by accident", async ({ page }) => {
    const deny = async (scope: string) => {
      await open(page, `address/${OPERATOR}`);
      await page.getByRole("button", { name: "Deny" }).click();
      await page.getByLabel("Scope").selectOption(scope);
      await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
    };
    await deny("all");
    const risk = page.getByRole("dialog", { name: "This may cut you off" });
    await expect(risk).toBeVisible();
    await risk.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await expect(page.getByRole("heading", { name: /Denied/ })).toHaveCount(0);

    await deny("ssh");
    await risk.getByRole("button", { name: "Do it, and let me confirm" }).click();
    await expect(page.getByRole("timer")).toContainText("Taken back in");
    await page.getByRole("button", { name: "Take it back" }).click();
    await expect(page.getByText("The change is taken back.")).toBeVisible();
    await expect(page.getByRole("timer")).toHaveCount(0);

    await deny("ssh");
    await risk.getByRole("button", { name: "Do it, and let me confirm" }).click();
    await page.getByRole("button", { name: "Keep it" }).click();
    await expect(page.getByText("The change stays.")).toBeVisible();
  });

  test("by keyboard: over the menu, through a dialog and back", async ({ page }) => {
    await open(page, "allow");
    await page.locator("body").press("Tab");
    await expect(page.getByRole("button", { name: "Skip to the content" })).toBeFocused();
    await page.keyboard.press("Enter");
    await expect(page.locator("#content")).toBeFocused();
    const add = page.getByRole("button", { name: "Add", exact: true });
    await add.focus();
    await page.keyboard.press("Enter");
    await expect(page.getByRole("dialog")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await expect(add).toBeFocused();
  });
});

test.describe("a viewer", () => {
  test.use({ user: "bob" });

  test("looks and changes nothing", async ({ page, sessions, user, baseURL }) => {
    await logIn(page, sessions, user, baseURL ?? "");
    for (const hash of PAGES) {
      await open(page, hash);
      await expect(page.getByText("You may look at everything and change nothing.")).toBeVisible();
      const forbidden = page.locator("main").getByRole("button", { name: /^(Add|Remove|Edit|Import|Unblock|Block|Deny|Allow|Revoke)\b/ });
      await expect(forbidden).toHaveCount(0);
    }
  });
});
