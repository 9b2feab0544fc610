// How hot a country is on the map.

export const HEATS = 5;

/** From 1 to 5 by the logarithm: one country often has a thousand times what the next has. 0 is nothing. */
export function heat(count: number, most: number): number {
  if (count <= 0) return 0;
  if (count >= most) return HEATS;
  return 1 + Math.floor((HEATS - 1) * (Math.log1p(count) / Math.log1p(most)));
}
