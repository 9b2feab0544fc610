// Pictures of the pages with the lab's data, for the manual: `cargo xtask screenshots` makes them.

import { expect } from "@playwright/test";
import { ATTACKER, logIn, open, test } from "./lab";
import { PAGES } from "./list";
import { INTO, picture } from "./picture";

/** These two in other colours and the other language, too. */
const OTHERS = [
  { hash: "dashboard", name: "dashboard-dark", theme: "dark", language: "en" },
  { hash: "dashboard", name: "dashboard-fr", theme: "light", language: "fr" },
  { hash: "blocks", name: "blocks-contrast", theme: "contrast", language: "en" },
];

const nameOf = (hash: string) =>
  decodeURIComponent(hash.replaceAll(ATTACKER, "one")).replace(/\W+$/, "").replaceAll(/[^\w-]+/g, "-");
const shots = [
  ...PAGES.map((hash) => ({ hash, name: nameOf(hash), theme: "light", language: "en" })),
  ...OTHERS,
];

test.use({ viewport: { width: 1200, height: 900 } });
test.skip(!INTO, "SIPPROT_UI_SCREENS names no directory");

for (const { hash, name, theme, language } of shots) {
  test(`picture: ${name}`, async ({ page, sessions, user, baseURL }) => {
    await logIn(page, sessions, user, baseURL ?? "");
    await page.addInitScript(
      ([theme, language]) => {
        localStorage.setItem("sipprot.theme", theme ?? "");
        localStorage.setItem("sipprot.language", language ?? "");
      },
      [theme, language],
    );
    await open(page, hash);
    await expect(page.getByText(/^(Loading…|Chargement…)$/)).toHaveCount(0);
    await page.waitForTimeout(500);
    await picture(page, name);
  });
}
