// A picture for the manual.

import type { Page } from "@playwright/test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The directory of the pictures; empty where none are to be taken. */
export const INTO = process.env["SIPPROT_UI_SCREENS"] ?? "";

/** Where the lab keeps its files, and the very build of the kernel, are this machine's own affair. */
const PRIVATE: [RegExp, string][] = [
  [/\/tmp\/sipprot-lab-[\d-]+\/sipprot\/state/g, "/var/lib/sipprot"],
  [/\/tmp\/sipprot-lab-[\d-]+\/sipprot/g, "/etc/sipprot"],
  [/(Linux \d+\.\d+)[\w.-]*/g, "$1"],
];

/** Of what is shown, by this name. */
export async function picture(page: Page, name: string) {
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
}
