// Numbers, times and countries, as the language has them.

import { prefs } from "./prefs.svelte";

export const number = (value: number) => new Intl.NumberFormat(prefs.language).format(value);

export function time(seconds: number): string {
  const style = { dateStyle: "medium", timeStyle: "medium" } as const;
  return new Intl.DateTimeFormat(prefs.language, style).format(seconds * 1000);
}

/** When a step of a chart begins, in UTC as its days are; only what steps of this length differ in. */
export function stamp(seconds: number, step: number, whole = false): string {
  const isDays = step >= 86400;
  const style: Intl.DateTimeFormatOptions = isDays
    ? { day: "numeric", month: "short", ...(whole ? { year: "numeric" } : {}) }
    : { hour: "2-digit", minute: "2-digit", ...(whole || step > 900 ? { day: "numeric", month: "short" } : {}) };
  return new Intl.DateTimeFormat(prefs.language, { ...style, timeZone: "UTC" }).format(seconds * 1000);
}

export const iso = (seconds: number) => new Date(seconds * 1000).toISOString();

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How far it is from now, in the largest unit that fits: "in 4 minutes", "3 days ago". */
export function relative(seconds: number, now = Date.now() / 1000): string {
  const away = Math.round(seconds - now);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(away) >= size) ?? (["second", 1] as const);
  return new Intl.RelativeTimeFormat(prefs.language, { numeric: "auto" }).format(
    Math.trunc(away / size),
    unit,
  );
}

export function duration(seconds: number): string {
  if (seconds > 0 && seconds < 1) {
    const style = { style: "unit", unit: "millisecond", maximumFractionDigits: 1 } as const;
    return new Intl.NumberFormat(prefs.language, style).format(seconds * 1000);
  }
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? (["second", 1] as const);
  const style = { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(prefs.language, style).format(seconds / size);
}

export function country(code: string | null | undefined): string {
  if (!code || !/^[A-Z]{2}$/.test(code)) return "";
  return new Intl.DisplayNames(prefs.language, { type: "region", fallback: "code" }).of(code) ?? code;
}

/** Every code that is a country's, by its name. */
export function countries(): { code: string; name: string }[] {
  return CODES.map((code) => ({ code, name: country(code) })).sort((a, b) =>
    a.name.localeCompare(b.name, prefs.language),
  );
}

const CODES =
  "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW".split(
    " ",
  );
