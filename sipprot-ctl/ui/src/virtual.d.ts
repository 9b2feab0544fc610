declare module "virtual:world" {
  const world: import("./lib/world").World;
  export default world;
}
