// Sums of a report's rows.

import type { ReportRow } from "./types";

export interface Sum {
  key: string;
  attackers: number;
  blocks: number;
  drops: number;
}

/** By what `of` says of a row, most drops first. */
export function sums(rows: ReportRow[], of: (row: ReportRow) => string): Sum[] {
  const groups = new Map<string, Sum & { seen: Set<string> }>();
  for (const row of rows) {
    const key = of(row);
    const sum = groups.get(key) ?? { key, attackers: 0, blocks: 0, drops: 0, seen: new Set() };
    sum.seen.add(row.attacker);
    sum.attackers = sum.seen.size;
    sum.blocks += row.blocks + row.containments;
    sum.drops += row.drops;
    groups.set(key, sum);
  }
  return [...groups.values()]
    .map(({ key, attackers, blocks, drops }) => ({ key, attackers, blocks, drops }))
    .sort((a, b) => b.drops - a.drops || b.blocks - a.blocks || a.key.localeCompare(b.key));
}
