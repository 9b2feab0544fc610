// Pages that few look at: they come together when somebody does, so that the first visit is the shorter.

export { default as about } from "./About.svelte";
export { default as audit } from "./Audit.svelte";
export { default as hosts } from "./Hosts.svelte";
export { default as settings } from "./Settings.svelte";
export { default as start } from "./Start.svelte";
export { default as users } from "./Users.svelte";
