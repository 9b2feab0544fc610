// Colours that people can read (WCAG 2.2, 1.4.3), whatever the operator's is.

type Rgb = [number, number, number];

const ENOUGH = 4.5;
const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

export const rgb = (hex: string): Rgb =>
  [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;

const hex = (colour: Rgb) =>
  `#${colour.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;

function luminance(colour: Rgb): number {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function contrast(a: string, b: string): number {
  const [dark = 0, light = 0] = [luminance(rgb(a)), luminance(rgb(b))].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** Black or white, whichever is read better on it. */
export const textOn = (ground: string) =>
  contrast(ground, "#000000") >= contrast(ground, "#ffffff") ? "#000000" : "#ffffff";

/** The colour, moved away from its ground only as far as it must be. */
export function readable(colour: string, ground: string): string {
  const towards = textOn(ground) === "#000000" ? BLACK : WHITE;
  const from = rgb(colour);
  for (let share = 0; share < 1; share += 0.05) {
    const mixed = hex(from.map((part, at) => part + ((towards[at] ?? 0) - part) * share) as Rgb);
    if (contrast(mixed, ground) >= ENOUGH) return mixed;
  }
  return hex(towards);
}
