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
];
