// A list's page, as the filters in the address bar ask for it, in the form that `Table` takes.

import { get, query } from "./api";
import { asked, listing, pages } from "./listing";
import { Loaded } from "./load.svelte";
import { here } from "./route.svelte";

export class Rows<T> {
  #loaded: Loaded<{ rows: T[]; total: number }>;

  /** `name` is that of the rows in the answer; lists without kinds are not asked for one. */
  constructor(path: string, name: string, hasKinds = false) {
    this.#loaded = new Loaded(async () => {
      const now = listing(here.route.filters);
      const { kind, ...fields } = asked(now);
      const found = await get<Record<string, unknown>>(
        path + query(hasKinds ? { ...fields, kind } : fields),
      );
      const [rows, total] = [found[name] as T[], found["total"] as number];
      // They may have gone from under the last page.
      if (rows.length === 0 && now.page > 1) {
        here.filter({ page: String(Math.min(now.page - 1, pages(total, now.size))) });
      }
      return { rows, total };
    });
  }

  get table() {
    const { value, error, again } = this.#loaded;
    return { rows: value?.rows ?? null, total: value?.total ?? 0, error, refresh: again };
  }
}
