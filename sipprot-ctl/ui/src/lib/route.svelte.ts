// Where one is: `#/page/part?filter=value`. A link to a filtered list is a link like any other.

export interface Route {
  page: string;
  part: string;
  filters: Record<string, string>;
}

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", part = ""] = path.split("/", 2);
  return { page, part: decoded(part), filters: Object.fromEntries(new URLSearchParams(search)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function link(page: string, part = "", filters: Record<string, string | undefined> = {}) {
  const set = Object.entries(filters).filter((it): it is [string, string] => !!it[1]);
  const search = new URLSearchParams(set).toString();
  const path = part ? `${page}/${encodeURIComponent(part)}` : page;
  return `#/${path}${search ? `?${search}` : ""}`;
}

class Here {
  route = $state.raw<Route>({ page: "", part: "", filters: {} });

  start() {
    const read = () => (this.route = parse(location.hash));
    read();
    window.addEventListener("hashchange", read);
    return () => window.removeEventListener("hashchange", read);
  }

  /** Changes some filters, and goes back to the first page unless told otherwise. */
  filter(changes: Record<string, string | undefined>) {
    const { page, part, filters } = this.route;
    const next: Record<string, string | undefined> = { ...filters, page: undefined, ...changes };
    history.replaceState(null, "", link(page, part, next));
    this.route = parse(location.hash);
  }
}

export const here = new Here();
