// The pages of settings, audit, users and health.

export const ADMIN_PAGES = [
  "settings",
  "settings?of=endpoint%5Bpbx1%5D",
  "settings/learning",
  "settings/service",
  "audit",
  "users",
  "about",
  "start",
];
