// Where one can look after what the daemon says is wrong.

const PLACES: [RegExp, page: string][] = [
  [/^blocks not in force/, "blocks"],
  [/^blocklist /, "deny"],
  [/^the host (only )?learns|^learning|not confirmed|countr|database|^log |daemon\.|listen/i, "settings"],
];

/** A page, or nothing where this page tells all there is. */
export const placeOf = (problem: string) => PLACES.find(([about]) => about.test(problem))?.[1];
