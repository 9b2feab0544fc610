import { defineConfig } from "@playwright/test";

// The lab's own: `tests/tests/ui.rs` starts daemon, attackers and this, and says where.
export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    baseURL: process.env["SIPPROT_UI_URL"] ?? "http://127.0.0.1:8060",
    ignoreHTTPSErrors: true,
    locale: "en-GB",
    launchOptions: { executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] },
  },
});
