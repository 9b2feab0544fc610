// A list's page as the filters in the address bar name it, and as the API is asked for it.

export const SIZES = [25, 50, 100, 500] as const;
const SIZE = 50;

export interface Listing {
  search: string;
  country: string;
  kind: string;
  endpoint: string;
  sort: string;
  reverse: boolean;
  page: number;
  size: number;
}

export function listing(filters: Record<string, string>): Listing {
  const order = filters["sort"] ?? "";
  const size = Number(filters["size"]);
  const page = Math.floor(Number(filters["page"]));
  return {
    search: filters["q"] ?? "",
    country: filters["country"] ?? "",
    kind: filters["kind"] ?? "",
    endpoint: filters["endpoint"] ?? "",
    sort: order.replace(/^-/, ""),
    reverse: order.startsWith("-"),
    page: page >= 1 ? page : 1,
    size: SIZES.some((it) => it === size) ? size : SIZE,
  };
}

export const isFiltered = ({ search, country, kind, endpoint }: Listing) =>
  !!(search || country || kind || endpoint);

/** The fields that the API takes. */
export function asked({ page, size, ...chosen }: Listing) {
  return { ...chosen, offset: (page - 1) * size, limit: size };
}

/** What a click on a column's head makes of the order: up, down, the list's own. */
export function nextSort({ sort, reverse }: Listing, column: string): string | undefined {
  if (sort !== column) return column;
  return reverse ? undefined : `-${column}`;
}

export const pages = (total: number, size: number) => Math.max(1, Math.ceil(total / size));
