// The dashboard's map, made when it is built: the outline of each country and territory as the path of an SVG,
// so that the browser needs neither a projection nor a topology. From Natural Earth (1:50 m, public domain).

import { geoArea, geoCentroid, geoEqualEarth, geoPath, type GeoContext, type GeoPermissibleObjects } from "d3-geo";
import type { Feature, MultiPolygon, Polygon, Position } from "geojson";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { feature } from "topojson-client";
import { presimplify, simplify } from "topojson-simplify";
import type { GeometryCollection, Objects, Topology } from "topojson-specification";
import type { Plugin } from "vite";
import type { World } from "../src/lib/world";

/** Units of the picture; a path's numbers are whole ones. */
const WIDTH = 1800;
/** In square degrees: what turns of a line say less than this are left out. */
const DETAIL = 0.02;
/** Parts of a country that are smaller, in square units, are left out unless it has no larger one. */
const LEAST_PART = 3;
/** A country of less area has a point to hit, too. */
const LEAST_COUNTRY = 60;
const SOUTH_END = -60;
const STERADIAN = 4 * Math.PI;

/** Natural Earth has no number for these. */
const BY_NAME: Record<string, string> = {
  Kosovo: "XK",
  Somaliland: "SO",
  "N. Cyprus": "CY",
  "Siachen Glacier": "IN",
  "Indian Ocean Ter.": "CC",
};

type Box = [west: number, south: number, east: number, north: number];

/** Territories with a code of their own that the map counts to somebody else's land. */
const WITHIN: [whole: string, own: string, box: Box][] = [
  ["FR", "GF", [-56, 2, -51, 6]],
  ["FR", "GP", [-62, 15.6, -60.9, 16.8]],
  ["FR", "MQ", [-61.5, 14, -60.5, 15.2]],
  ["FR", "RE", [55, -22, 56, -20]],
  ["FR", "YT", [44, -14, 46, -12]],
  ["NL", "BQ", [-70, 12, -62, 18]],
  ["NO", "SJ", [-10, 70.9, 0, 72]],
  ["NO", "SJ", [5, 74, 40, 81]],
  ["NZ", "TK", [-173, -10, -170, -8]],
  ["CC", "CX", [105, -11, 106, -10]],
];

/** What is too small for this map altogether. */
const POINTS: Record<string, Position> = {
  BV: [3.4, -54.4],
  GI: [-5.35, 36.1],
  TV: [179.2, -8.5],
  UM: [166.6, 19.3],
};

function codeOf({ id, properties }: Feature): string {
  // Unicode knows the numbers of countries as other names of their codes.
  if (id !== undefined) return new Intl.Locale(`und-${String(id)}`).region ?? "";
  return BY_NAME[String(properties?.["name"])] ?? "";
}

function parts(shape: Polygon | MultiPolygon): Polygon[] {
  const all = shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates;
  return all.map((coordinates) => ({ type: "Polygon", coordinates }));
}

function ownerOf(code: string, part: Polygon): string {
  const [east, north] = geoCentroid(part);
  const inside = ([west, south, far, top]: Box) => west <= east && east <= far && south <= north && north <= top;
  return WITHIN.find(([whole, , box]) => whole === code && inside(box))?.[1] ?? code;
}

/** Each code's land. */
function lands(topology: Topology): Map<string, Polygon[]> {
  const countries = topology.objects["countries"] as GeometryCollection;
  const found = new Map<string, Polygon[]>();
  for (const country of feature(topology, countries).features) {
    const code = codeOf(country);
    for (const part of parts(country.geometry as Polygon | MultiPolygon)) {
      // A ring that simplifying has turned inside out would cover the earth.
      if (part.coordinates[0] === undefined || part.coordinates[0].length < 4 || geoArea(part) > STERADIAN / 2) continue;
      const owner = ownerOf(code, part);
      found.set(owner, [...(found.get(owner) ?? []), part]);
    }
  }
  return found;
}

/** Collects a path of whole numbers, each relative to the one before. */
class Pen implements GeoContext {
  text = "";
  #at: [number, number] = [0, 0];
  #ring: [number, number][] = [];

  beginPath() {}
  arc() {}
  moveTo(x: number, y: number) {
    this.#ring = [[Math.round(x), Math.round(y)]];
  }
  lineTo(x: number, y: number) {
    const next: [number, number] = [Math.round(x), Math.round(y)];
    const last = this.#ring.at(-1);
    if (!last || last[0] !== next[0] || last[1] !== next[1]) this.#ring.push(next);
  }
  closePath() {
    const [first, ...rest] = this.#ring;
    const last = rest.at(-1);
    if (first && last && last[0] === first[0] && last[1] === first[1]) rest.pop();
    if (!first || rest.length < 2) return;
    const pair = ([x, y]: [number, number]) => {
      const [dx, dy] = [x - this.#at[0], y - this.#at[1]];
      this.#at = [x, y];
      return `${dx}${dy < 0 ? "" : " "}${dy}`;
    };
    this.text += `m${pair(first)}l${rest.map(pair).join(" ").replaceAll(" -", "-")}z`;
    // Closing goes back to where the ring began.
    this.#at = first;
  }
}

export function world(): World {
  const file = createRequire(import.meta.url).resolve("world-atlas/countries-50m.json");
  const whole = JSON.parse(readFileSync(file, "utf8")) as Topology;
  const fine = lands(whole);
  const coarse = lands(simplify(presimplify(whole as Topology<Objects<object>>), DETAIL));

  const frame: GeoPermissibleObjects = {
    type: "LineString",
    coordinates: [[-179.9, 0], [179.9, 0], [0, 83.7], [0, SOUTH_END]],
  };
  const projection = geoEqualEarth().precision(0.5).fitWidth(WIDTH, frame);
  const path = geoPath(projection);
  const [, [width, height]] = path.bounds(frame);
  const area = (part: Polygon) => path.area(part);
  const center = (at: Position): [number, number] => {
    const [x, y] = projection([at[0] ?? 0, at[1] ?? 0]) ?? [0, 0];
    return [Math.round(x), Math.round(y)];
  };

  const made: World = { width: Math.ceil(width), height: Math.ceil(height), shapes: {}, points: {} };
  for (const [code, exact] of [...fine].sort(([a], [b]) => a.localeCompare(b))) {
    const size = exact.reduce((sum, part) => sum + area(part), 0);
    const largest = exact.reduce((a, b) => (area(a) >= area(b) ? a : b));
    const drawn = (coarse.get(code) ?? []).filter((part) => area(part) >= LEAST_PART);
    const pen = new Pen();
    const draw = geoPath(projection, pen);
    for (const part of drawn.length ? drawn : [largest]) draw(part);
    if (pen.text) made.shapes[code] = pen.text;
    if (size < LEAST_COUNTRY) made.points[code] = center(geoCentroid(largest));
  }
  for (const [code, at] of Object.entries(POINTS)) made.points[code] = center(at);
  return made;
}

const NAME = "virtual:world";

export function worldPlugin(): Plugin {
  return {
    name: "world",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => (id === `\0${NAME}` ? `export default ${JSON.stringify(world())};` : undefined),
  };
}
