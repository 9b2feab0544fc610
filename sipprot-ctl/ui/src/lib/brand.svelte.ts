// How the operator has it look. It is known before anybody logs in.

import type { Welcome } from "./admin-types";
import { get } from "./api";
import { readable, textOn } from "./colour";

/** What links and buttons lie on at worst, in each theme; high contrast keeps its own colours. */
const GROUNDS: Record<string, string> = { light: "#eef1f7", dark: "#212938" };
const LOGO = "/api/v1/logo";

class Brand {
  welcome = $state.raw<Welcome | null>(null);
  name = $derived(this.welcome?.name ?? "SIPprot");
  logo = $derived(this.welcome?.logo ? `${LOGO}?${this.welcome.logo}` : "");

  async look() {
    try {
      this.welcome = await get<Welcome>("/welcome");
    } catch {
      // Whoever can't be reached is told of elsewhere.
    }
  }

  /** Dresses the page. */
  wear(theme: string) {
    const { style } = document.documentElement;
    const set = (name: string, value: string | null | undefined) =>
      value ? style.setProperty(name, value) : style.removeProperty(name);
    const ground = GROUNDS[theme];
    const own = ground ? this.welcome?.colour : null;
    const accent = own && ground ? readable(own, ground) : null;
    set("--accent", accent);
    set("--on-accent", accent && textOn(accent));
    const behind = ground ? this.welcome?.ground : null;
    set("--brand", behind);
    set("--on-brand", behind && textOn(behind));
  }
}

export const brand = new Brand();
