// Every page, for what is asked of all of them. A picture of each is in docs/screens.

import { ATTACKER } from "./lab";

export const PAGES = [
  "dashboard",
  "endpoints",
  "endpoints/pbx1",
  "blocks",
  "deny",
  "allow",
  "trust",
  "trust/peers",
  "address",
  `address/${ATTACKER}`,
  "hosts",
  "settings",
  "settings?of=endpoint%5Bpbx1%5D",
  "settings/learning",
  "settings/service",
  "audit",
  "users",
  "about",
  "start",
];
