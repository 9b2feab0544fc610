// Tables for spreadsheets.

/** A cell that a spreadsheet would run as a formula begins with an apostrophe, as the API's own files do. */
function cell(value: unknown): string {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^[-=+@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const csv = (rows: unknown[][]) => rows.map((row) => row.map(cell).join(",") + "\n").join("");
