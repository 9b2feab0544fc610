// The map as the build makes it (build/world.ts).

export interface World {
  width: number;
  height: number;
  /** By ISO code, the path of an SVG. */
  shapes: Record<string, string>;
  /** Where there is too little land to be seen or hit: its middle. */
  points: Record<string, [x: number, y: number]>;
}
