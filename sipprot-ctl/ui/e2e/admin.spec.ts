import { expect, type Page } from "@playwright/test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IS_FULL, OPERATOR, PASSWORD, logIn, open, test } from "./lab";

const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><circle cx="4" cy="4" r="4"/></svg>';
const setting = (page: Page, key: string) => page.locator(`[data-key="${key}"]`);
/** Another policy for the kernel takes its time on a busy machine. */
const PATIENCE = { timeout: 40_000 };
const told = (page: Page, text: string) =>
  expect(page.locator(".toast", { hasText: text })).toBeVisible(PATIENCE);
const button = (page: Page, name: string | RegExp) =>
  page.getByRole("button", typeof name === "string" ? { name, exact: true } : { name });
const inDialog = (page: Page, name: string) =>
  page.getByRole("dialog").last().getByRole("button", { name, exact: true });

async function review(page: Page) {
  await button(page, "Review and save").click();
  await expect(page.getByRole("dialog").getByRole("cell").first()).toBeVisible();
}

test.describe("an admin", () => {
  test.beforeEach(async ({ page, sessions, user, baseURL }) => {
    await logIn(page, sessions, user, baseURL ?? "");
  });

  test("changes a setting, sees by whom, and takes it back", async ({ page }) => {
    await open(page, "settings");
    await page.getByRole("searchbox", { name: "Search the settings" }).fill("dynamic block time");
    await expect(page).toHaveURL(/q=dynamic/);
    await expect(page.locator("[data-key]")).toHaveCount(1);
    const row = setting(page, "rules.block_time");
    await expect(row).toContainText("How long a dynamic block lasts.");
    await expect(row).toContainText("Default: 1h");
    await row.getByLabel("Dynamic block time").fill("2h");
    await expect(row).toContainText("Not saved yet");
    await button(page, "Leave it as it is: Dynamic block time").click();
    await expect(button(page, "Review and save")).toHaveCount(0);
    await row.getByLabel("Dynamic block time").fill("2h");
    await review(page);
    await expect(page.getByRole("dialog").getByRole("row", { name: /rules\.block_time 1h 2h/ })).toBeVisible();
    await inDialog(page, "Save").click();
    await told(page, "1 setting is saved.");
    await expect(row).toContainText("Changed");
    await expect(row).toContainText(/Set in .*sipprot\.toml:\d+/);
    await page.getByLabel("Only what is changed").check();
    await button(page, "Reset").click();
    await open(page, "settings?changed=1");
    await expect(setting(page, "rules.block_time")).toBeVisible();
    await expect(setting(page, "rules.trust_for")).toHaveCount(0);

    await open(page, "audit?what=settings");
    const record = page.getByRole("row", { name: /rules\.block_time/ }).first();
    await expect(record).toContainText("ann");
    await expect(record).toContainText(OPERATOR);
    await record.getByRole("button", { name: /^Details/ }).click();
    await expect(page.getByRole("dialog")).toContainText("2h");
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await record.getByRole("button", { name: /^Undo \d/ }).click();
    await told(page, "is undone.");
    await expect(page.getByRole("row", { name: /rules\.block_time/ }).filter({ hasText: "Undone by" })).toHaveCount(1);
    await open(page, "settings?q=rules.block_time");
    await expect(setting(page, "rules.block_time")).not.toContainText("Changed");
  });

  test("is told of a wrong value where it is", async ({ page }) => {
    await open(page, "settings?q=block_threshold");
    const row = setting(page, "rules.block_threshold");
    await expect(row).toContainText("From 1 to 20");
    await row.getByLabel("Block threshold").fill("21");
    await button(page, "Review and save").click();
    await expect(row.getByRole("alert")).toContainText("a whole number from 1 to 20");
    await button(page, "Discard").click();
    await expect(row.getByRole("alert")).toHaveCount(0);
    await expect(row.getByLabel("Block threshold")).toHaveValue("5");
  });

  test("sees whom countries would keep out, and is not locked out", async ({ page }) => {
    await open(page, "settings?q=geo.");
    await page.getByLabel("Geo protection").selectOption("allow");
    await page.getByLabel("Add a country").selectOption("FR");
    await expect(button(page, "Remove: France")).toBeVisible();
    await review(page);
    await expect(page.getByRole("dialog").getByRole("heading", { name: "Whom the countries would keep out" })).toBeVisible();
    await inDialog(page, "Save").click();
    const risk = page.getByRole("dialog", { name: "This may cut you off" });
    await risk.getByRole("button", { name: "Do it, and let me confirm" }).click();
    await expect(page.getByRole("timer")).toContainText("Taken back in");
    await button(page, "Take it back").click();
    await told(page, "The change is taken back.");
    await expect(setting(page, "geo.mode")).not.toContainText("Changed");
    await page.getByLabel("Which country is an address in?").fill("8.8.8.8");
    await button(page, "Test").click();
    await expect(page.getByText(/^8\.8\.8\.8: /)).toBeVisible();
  });

  test("gives an endpoint settings of its own, adds one and removes it", async ({ page }) => {
    test.slow();
    await open(page, "settings");
    await page.getByLabel("Whose settings").selectOption({ label: "Endpoint: pbx1" });
    await expect(page).toHaveURL(/of=endpoint/);
    const row = setting(page, "endpoint[pbx1].invite_limit");
    await expect(row).toContainText("The host's: 5");
    await row.getByLabel("Failing calls").fill("9");
    await review(page);
    await inDialog(page, "Save").click();
    await told(page, "1 setting is saved.");
    await button(page, "As the host: Failing calls").click();
    await review(page);
    await inDialog(page, "Save").click();
    await expect(button(page, "As the host: Failing calls")).toHaveCount(0);

    await button(page, "Add an endpoint").click();
    await page.getByLabel("Name").fill("pbx9");
    await page.getByRole("dialog").getByLabel("Addresses").fill("192.0.2.99");
    await inDialog(page, "Add").click();
    await expect(page.getByRole("heading", { name: "Endpoint: pbx9" })).toBeVisible(PATIENCE);
    await expect(page.getByLabel("Addresses")).toHaveValue("192.0.2.99");
    await button(page, "Remove Endpoint: pbx9").click();
    await inDialog(page, "Remove").click();
    await told(page, "Endpoint: pbx9 is removed.");
    await expect(page.getByRole("heading", { name: "What is done with attacks" })).toBeVisible();
  });

  test("observes and enforces, learns and accepts", async ({ page }) => {
    await open(page, "settings");
    await page.getByLabel("Observe: attacks are counted, and pass").check();
    await told(page, "The mode is observe now.");
    await page.getByLabel("Enforce: attacks are dropped").check();
    await told(page, "The mode is enforce now.");

    await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Learning" }).click();
    await page.getByLabel("Days").fill("3");
    await button(page, "Start learning").click();
    await told(page, "The host learns.");
    await expect(page.getByText("Preliminary: the time is not over.")).toBeVisible();
    await button(page, "Stop learning").click();
    await told(page, "Learning is stopped.");
    await button(page, "Start learning").click();
    await button(page, "Accept").click();
    await inDialog(page, "Accept").click();
    await told(page, "The proposal is accepted.");
    await expect(page.getByText("The proposal was accepted.")).toBeVisible();
    await button(page, "Discard what was learned").click();
    await inDialog(page, "Discard what was learned").click();
    await expect(page.getByText("This host has not learned yet.")).toBeVisible();
  });

  test("reloads, restarts and stops as far as systemd lets it", async ({ page }) => {
    await open(page, "settings/service");
    await expect(page.getByText("systemd did not start this daemon")).toBeVisible();
    await expect(button(page, "Restart")).toHaveCount(0);
    await button(page, "Read the configuration again").click();
    await told(page, "The configuration is read again.");
    const asked: [string, unknown][] = [];
    await page.route("**/api/v1/service", (route) =>
      route.fulfill({ json: { unit: "sipprot.service", started_at: 1_700_000_000 } }),
    );
    await page.route("**/api/v1/service/*", (route) => {
      asked.push([new URL(route.request().url()).pathname, route.request().postDataJSON()]);
      return route.fulfill({ json: { done: true, message: "" } });
    });
    await page.reload();
    await expect(page.getByText("systemd runs it as sipprot.service.")).toBeVisible();
    await button(page, "Restart").click();
    await inDialog(page, "Restart").click();
    await told(page, "The daemon restarts.");
    await button(page, "Stop").click();
    await page.getByLabel("Start it again after").selectOption({ label: "10 minutes" });
    await inDialog(page, "Stop").click();
    await told(page, "The daemon stops.");
    expect(asked).toEqual([["/api/v1/service/restart", null], ["/api/v1/service/stop", { again_in_s: 600 }]]);
  });

  test("finds, exports and undoes what was done", async ({ page, sessions }) => {
    const headers = { "x-csrf-token": sessions.get("ann")?.csrf ?? "" };
    const data = { network: "192.0.2.150", note: "=1+1, for the audit" };
    expect((await page.request.post("/api/v1/lists/deny", { data, headers })).status()).toBe(200);
    await open(page, "audit");
    await page.getByRole("combobox", { name: /^What/ }).selectOption({ label: "Lists" });
    await expect(page).toHaveURL(/what=list/);
    const address = page.getByLabel("Address or part of one");
    await address.fill("192.0.2.150");
    await address.press("Enter");
    await page.getByLabel("Who").fill("ann");
    await page.getByLabel("Who").press("Enter");
    await page.getByLabel("Since").fill("2020-01-01");
    await page.getByLabel("Only what can be undone").check();
    await page.getByLabel("Order").selectOption("oldest");
    await expect(page).toHaveURL(/order=oldest/);
    await page.reload();
    await expect(page.locator("tbody tr")).toHaveCount(1);
    for (const [name, expected] of [["Export as CSV", "list.add"], ["Export as JSON", '"what": "list.add"']] as const) {
      const saved = page.waitForEvent("download");
      await button(page, name).click();
      expect(readFileSync(await (await saved).path(), "utf8")).toContain(expected);
    }
    await button(page, /^Undo \d/).click();
    await told(page, "is undone.");
    await expect(page.getByText("Nothing matches.")).toBeVisible();
    await button(page, "Reset").click();
    await expect(page.getByRole("row", { name: /deny 192\.0\.2\.150/ }).first()).toBeVisible();
    await page.getByLabel("Until").fill("2020-01-01");
    await page.getByLabel("Until").press("Enter");
    await expect(page.getByText("Nothing matches.")).toBeVisible();
  });

  test("adds, edits and removes users and tokens", async ({ page, browser, baseURL }) => {
    await open(page, "users");
    await button(page, "Add a user").click();
    await page.getByLabel("Name").fill("carl");
    await page.getByLabel("Password").fill(PASSWORD);
    await inDialog(page, "Add").click();
    await told(page, "carl may log in.");
    const row = page.getByRole("row", { name: /^carl/ });
    await expect(row).toContainText("viewer");

    const other = await browser.newPage({ baseURL: baseURL ?? "", ignoreHTTPSErrors: true });
    await other.goto("/#/users");
    await other.getByLabel("Name").fill("carl");
    await other.getByLabel("Password").fill(PASSWORD);
    await other.getByRole("button", { name: "Log in" }).click();
    await other.getByRole("button", { name: "Change my password" }).click();
    await other.getByLabel("Present password").fill("not the right one");
    await other.getByLabel("New password").fill("another horse battery");
    await other.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await expect(other.getByText("The present password is wrong.")).toBeVisible();
    await other.getByLabel("Present password").fill(PASSWORD);
    await other.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await expect(other.getByText("Your password is changed")).toBeVisible();

    await page.reload();
    await button(page, "End logins: carl").click();
    await told(page, "carl has to log in again.");
    await other.reload();
    await expect(other.getByRole("button", { name: "Log in" })).toBeVisible();
    await other.close();
    await button(page, "Edit carl").click();
    await page.getByLabel("Role").selectOption("admin");
    await inDialog(page, "Save").click();
    await expect(row).toContainText("admin");
    await button(page, "End logins: carl").waitFor({ state: "detached" });
    await button(page, "Remove: carl").click();
    await inDialog(page, "Remove").click();
    await expect(row).toHaveCount(0);

    await button(page, "Make a token").click();
    await page.getByLabel("Name").fill("grafana");
    await inDialog(page, "Add").click();
    await expect(page.getByText("It is shown this once:")).toContainText("sipprot_");
    await button(page, "Close").first().click();
    await button(page, "Revoke: grafana").click();
    await inDialog(page, "Revoke").click();
    await told(page, "The token grafana is revoked.");
    await page.getByRole("link", { name: "Logins in the audit" }).click();
    await expect(page.getByRole("row", { name: /carl/ }).first()).toBeVisible();
  });

  test("sees how the host is", async ({ page }) => {
    await open(page, "about");
    const findings = page.getByRole("region", { name: "Health check" });
    await expect(findings).toContainText("has what is needed");
    await button(page, "Check again").click();
    await expect(page.getByRole("region", { name: "This host" })).toContainText(/Linux \d/);
    await expect(page.getByRole("region", { name: "This host" })).toContainText("XDP");
    await expect(page.getByRole("region", { name: "Maps of the kernel" }).locator("tbody tr").first()).toBeVisible();
  });

  test("takes the first steps", async ({ page }) => {
    await open(page, "start");
    await expect(page.getByText("Name your PBXs")).toBeVisible();
    await expect(page.getByRole("link", { name: "pbx1" })).toBeVisible();
    await button(page, `Allow ${OPERATOR}`).click();
    await expect(page.getByText("It is on the allowlist.")).toBeVisible();
    await button(page, "Learn for 7 days first").click();
    await told(page, "The host learns.");
    await button(page, "Enforce now").click();
    await expect(button(page, "Learn for 7 days first")).toBeVisible();
    await page.locator(".toast", { hasText: `${OPERATOR} is on the list` }).getByRole("button", { name: "Undo" }).click();
    const risk = page.getByRole("dialog", { name: "This may cut you off" });
    if (await risk.isVisible()) await risk.getByRole("button", { name: "Do it, and let me confirm" }).click();
    await expect(button(page, `Allow ${OPERATOR}`)).toBeVisible();
  });

  test("gives it a name, colours and a logo", async ({ page }) => {
    const logo = join(mkdtempSync(join(tmpdir(), "logo-")), "logo.svg");
    writeFileSync(logo, SVG);
    await open(page, "settings?q=branding.");
    const before = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent"));
    await setting(page, "branding.name").getByRole("textbox").fill("Telco Shield");
    await setting(page, "branding.colour").getByRole("textbox").fill("#ffee00");
    await setting(page, "branding.ground").getByRole("textbox").fill("#202040");
    await setting(page, "branding.logo").getByRole("textbox").fill(logo);
    await review(page);
    await inDialog(page, "Save").click();
    const brand = page.getByRole("link", { name: "Telco Shield" });
    await expect(brand).toBeVisible();
    await expect(brand.locator("img")).toHaveJSProperty("complete", true);
    expect(await brand.locator("img").evaluate((it: HTMLImageElement) => it.naturalWidth)).toBeGreaterThan(0);
    await expect(page).toHaveTitle("Settings · Telco Shield");
    const after = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent"));
    expect(after).not.toBe(before);
    expect(after).not.toBe("#ffee00");
    for (const title of ["Name", "Logo", "Colour of buttons and links", "Colour behind the name"]) {
      await button(page, `To the default: ${title}`).click();
    }
    await review(page);
    await inDialog(page, "Save").click();
    await expect(page.getByRole("link", { name: "SIPprot", exact: true })).toBeVisible();
  });

  if (IS_FULL) {
    test("every setting has a title in both languages", async ({ page }) => {
      await open(page, "settings");
      for (const of of ["", "endpoint[pbx1]"]) {
        await page.goto(`/#/settings${of ? `?of=${encodeURIComponent(of)}` : ""}`);
        await expect(page.locator("[data-key]").first()).toBeVisible();
        for (const row of await page.locator("[data-key]").all()) {
          const key = (await row.getAttribute("data-key")) ?? "";
          const title = (await row.locator("label, strong").first().textContent()) ?? "";
          expect(title.trim(), key).not.toBe(key);
        }
      }
    });
  }
});

test("before there is a user it says how to make one", async ({ page }) => {
  let has_users = false;
  await page.route("**/api/v1/welcome", (route) =>
    route.fulfill({ json: { name: "SIPprot", colour: null, ground: null, logo: null, has_users } }),
  );
  await page.goto("/");
  await expect(page.getByText("sipprot user add NAME --role admin")).toBeVisible();
  has_users = true;
  await expect(button(page, "Log in")).toBeVisible();
});

test.describe("a viewer", () => {
  test.use({ user: "bob" });

  test("sees settings, audit and health, and can't change them", async ({ page, sessions, user, baseURL }) => {
    await logIn(page, sessions, user, baseURL ?? "");
    await open(page, "settings");
    await expect(setting(page, "rules.block_time")).toContainText("1h");
    await expect(page.locator("[data-key] :is(input, select, textarea, button)")).toHaveCount(0);
    await expect(page.getByRole("radio")).toHaveCount(0);
    await open(page, "settings/learning");
    await expect(button(page, "Start learning")).toHaveCount(0);
    await open(page, "settings/service");
    await expect(button(page, "Read the configuration again")).toHaveCount(0);
    await open(page, "audit");
    await expect(page.locator("tbody tr").first()).toBeVisible();
    await expect(button(page, /^Undo/)).toHaveCount(0);
    await open(page, "users");
    await expect(page.getByText("Only an admin sees users and tokens.")).toBeVisible();
    await open(page, "about");
    await expect(button(page, "Check again")).toBeVisible();
  });
});
