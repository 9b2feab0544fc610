// Pictures of the pages with the lab's data, for the manual: `cargo xtask screenshots` makes them.

import { expect } from "@playwright/test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ATTACKER, logIn, open, test } from "./lab";
import { PAGES } from "./list";

const INTO = process.env["SIPPROT_UI_SCREENS"] ?? "";
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

/** Where the lab keeps its files, and the very build of the kernel, are this machine's own affair. */
const PRIVATE: [RegExp, string][] = [
  [/\/tmp\/sipprot-lab-[\d-]+\/sipprot\/state/g, "/var/lib/sipprot"],
  [/\/tmp\/sipprot-lab-[\d-]+\/sipprot/g, "/etc/sipprot"],
  [/(Linux \d+\.\d+)[\w.-]*/g, "$1"],
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
    await page.evaluate(
      (hidden) => {
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let text = texts.nextNode(); text; text = texts.nextNode()) {
          for (const [what, as, flags] of hidden) {
            text.nodeValue = (text.nodeValue ?? "").replace(new RegExp(what, flags), as);
          }
        }
      },
      PRIVATE.map(([what, as]): [string, string, string] => [what.source, as, what.flags]),
    );
    mkdirSync(INTO, { recursive: true });
    writeFileSync(join(INTO, `${name}.png`), await page.screenshot({ animations: "disabled" }));
  });
}
